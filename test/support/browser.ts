import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import type { Network } from './network.ts';

const EXECUTABLES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const ANSWERS = {
  granted: ['--use-fake-ui-for-media-stream'],
  denied: ['--use-fake-ui-for-media-stream=deny'],
  asked: [],
} as const;

export interface BrowserOptions {
  /** How whoever asks for a device is always answered; `asked` leaves it to the permissions of the page's context. */
  devices?: 'granted' | 'denied' | 'asked';
  /** A microphone is always there. */
  cameras?: number;
  /** Runs on the other host of this network; pages of `site` may then use devices without TLS. */
  network?: Network;
  site?: CallerSite;
}

/** A real Chromium with a fake camera and microphone. */
export async function launchBrowser(options: BrowserOptions = {}): Promise<Browser> {
  const { devices = 'granted', cameras = 1, network, site } = options;
  const executablePath = EXECUTABLES.find(existsSync);
  if (!executablePath) throw new Error(`No Chromium at ${EXECUTABLES.join(', ')}`);
  return chromium.launch({
    executablePath: network ? await network.script(executablePath) : executablePath,
    args: [
      ...(site ? [`--unsafely-treat-insecure-origin-as-secure=${site.url}`] : []),
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--autoplay-policy=no-user-gesture-required',
      `--use-fake-device-for-media-stream=device-count=${cameras}`,
      ...ANSWERS[devices],
    ],
  });
}

/** As much of a page as calls need; Playwright's and Firefox's have it. */
export type CallerPage = Pick<Page, 'evaluate' | 'close'> & { goto(url: string): Promise<unknown> };

/** An empty page that has the SDK as `globalThis.sdk`, from an origin of its own as a customer's page would be. */
export interface CallerSite {
  readonly url: string;
  open<P extends CallerPage>(browser: { newPage(): Promise<P> }): Promise<P>;
  close(): Promise<void>;
}

export async function serveCallerSite(address = '127.0.0.1'): Promise<CallerSite> {
  const sdk = await bundleSdk();
  const server = createServer((request, response) => {
    if (request.url === '/sdk.js') response.setHeader('content-type', 'text/javascript').end(sdk);
    else response.setHeader('content-type', 'text/html').end(PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const url = `http://${address}:${(server.address() as AddressInfo).port}`;
  return {
    url,
    async open(browser) {
      const page = await browser.newPage();
      // The script of the page is done when it has loaded.
      await page.goto(`${url}/`);
      return page;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const PAGE = `<!doctype html><title>caller</title><script type="module">
  import * as sdk from '/sdk.js';
  globalThis.sdk = sdk;
</script>`;

async function bundleSdk(): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: false,
      target: 'es2024',
      lib: { entry: fileURLToPath(new URL('../../src/client/index.ts', import.meta.url)), formats: ['es'] },
    },
  });
  const bundle = Array.isArray(result) ? result[0] : result;
  if (!bundle || !('output' in bundle)) throw new Error('Vite made no bundle');
  return bundle.output[0].code;
}

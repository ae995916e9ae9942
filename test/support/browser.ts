import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';

const EXECUTABLES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A real Chromium with a fake camera and microphone; whoever asks for them is always answered the same way. */
export function launchBrowser({ devices = 'granted' }: { devices?: 'granted' | 'denied' } = {}): Promise<Browser> {
  const executablePath = EXECUTABLES.find(existsSync);
  if (!executablePath) throw new Error(`No Chromium at ${EXECUTABLES.join(', ')}`);
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--autoplay-policy=no-user-gesture-required',
      '--use-fake-device-for-media-stream',
      devices === 'granted' ? '--use-fake-ui-for-media-stream' : '--use-fake-ui-for-media-stream=deny',
    ],
  });
}

/** An empty page that has the SDK as `globalThis.sdk`, from an origin of its own as a customer's page would be. */
export interface CallerSite {
  open(browser: Browser): Promise<Page>;
  close(): Promise<void>;
}

export async function serveCallerSite(): Promise<CallerSite> {
  const sdk = await bundleSdk();
  const server = createServer((request, response) => {
    if (request.url === '/sdk.js') response.setHeader('content-type', 'text/javascript').end(sdk);
    else response.setHeader('content-type', 'text/html').end(PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    async open(browser) {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${port}/`);
      await page.waitForFunction(() => 'sdk' in globalThis);
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

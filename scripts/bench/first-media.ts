import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { launchBrowser } from '../../test/support/browser.ts';
import { BenchServer, LASTING } from '../shared/server.ts';
import { opener, WARM_UP } from './drive.ts';
import type { FirstMedia } from './first-media/page.ts';
import { JANUS_IS_MISSING, JanusServer } from './janus/server.ts';
import { type Row, row, type Setting } from './measure.ts';

/** Calls of each kind that nobody counts, until the browser has compiled what it needs. */
const BROWSER_WARM_UP = 3;

/** Between calls, so that the one before is over on both sides. */
const PAUSE_MS = 150;

/** Time from `new WebSocket` to the first media in a real browser, beside Janus in the same page. */
export async function benchFirstMedia(setting: Setting): Promise<Row[]> {
  const calls = setting.pick(25, 5);
  await using server = await BenchServer.start(setting.redisUrl);
  await using janus = await JanusServer.start();
  const floorIs = janus ? 'Janus: echo test, same page' : JANUS_IS_MISSING;
  const audio = row('new WebSocket to first audio packet', 'ms', { floorIs, aim: '≤ 0.60' });
  const video = row('new WebSocket to first video frame', 'ms', { floorIs, aim: '≤ 1.00' });
  const put = (ours: FirstMedia, theirs: FirstMedia | undefined) => {
    audio.ours.push(ours.audio);
    video.ours.push(ours.video);
    if (theirs === undefined) return;
    audio.floor.push(theirs.audio);
    video.floor.push(theirs.video);
  };
  await using site = await serveSite();
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    await page.evaluate(() => bench.openDevices());
    setting.say('first media: warming up');
    await (await opener(server)(setting.pick(WARM_UP, 800)))();
    setting.say(`first media: ${calls} calls each`);
    for (let index = -BROWSER_WARM_UP; index < calls; index += 1) {
      const ours = await callGate(page, server);
      const theirs = janus && (await page.evaluate((url) => bench.janus(url), janus.url));
      await delay(PAUSE_MS);
      if (index >= 0) put(ours, theirs);
    }
    return [audio, video];
  } finally {
    await browser.close();
  }
}

async function callGate(page: Page, server: BenchServer): Promise<FirstMedia> {
  const token = await server.mint(LASTING);
  const url = `${server.url.replace('http', 'ws')}/v1/connect`;
  const timed = await page.evaluate((call) => bench.gate(call), { url, endpointId: LASTING, token });
  await delay(PAUSE_MS);
  return timed;
}

/** The page on an origin of its own, as a customer's would be. */
async function serveSite(): Promise<AsyncDisposable & { url: string }> {
  const script = await bundle();
  const server = createServer((request, response) => {
    if (request.url === '/page.js') response.setHeader('content-type', 'text/javascript').end(script);
    else
      response
        .setHeader('content-type', 'text/html')
        .end('<!doctype html><title>bench</title><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bundle(): Promise<string> {
  const entry = fileURLToPath(new URL('./first-media/page.ts', import.meta.url));
  const result = await build({
    configFile: false,
    logLevel: 'error',
    build: { write: false, minify: false, target: 'es2024', lib: { entry, formats: ['es'] } },
  });
  const made = Array.isArray(result) ? result[0] : result;
  if (!made || !('output' in made)) throw new Error('Vite made no bundle');
  return made.output[0].code;
}

import { setTimeout as delay } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type * as Sdk from '../../src/client/index.ts';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { expectMedia, expectPictures, liveCall, startCall } from '../support/caller.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { longestGap, watchGaps } from '../support/gaps.ts';
import { TestServer } from '../support/server.ts';

declare global {
  var told: boolean[];
  var stream: MediaStream;
  var session: Sdk.SessionDetails;
}

/** How long a socket stays away. */
const AWAY_MS = 5000;
/** Longer than any pause between pictures, and shorter than anybody would like. */
const GAP_MS = 200;

let server: TestServer;
let proxy: CuttingProxy;
let site: CallerSite;
let browser: Browser;

/** Three of them are little work for a busy machine. */
const TINY = { width: 160, height: 120, frameRate: 15 };

let pages: Page[] = [];

beforeAll(async () => {
  [server, site, browser] = await Promise.all([TestServer.start(), serveCallerSite(), launchBrowser()]);
  proxy = await CuttingProxy.start(Number(new URL(server.running.url).port));
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await proxy?.stop();
  await server?.stop();
});

afterEach(async () => {
  await Promise.all(pages.map((page) => page.close()));
  pages = [];
});

async function openPage(): Promise<Page> {
  const page = await site.open(browser);
  pages.push(page);
  return page;
}

/** A live call whose socket goes through the proxy. */
async function cuttableCall(page: Page, endpointId: string): Promise<void> {
  const minted = await server.mint(endpointId);
  await startCall(page, { ...minted, ws_url: `ws://127.0.0.1:${proxy.port}/v1/connect` }, { audio: true, video: TINY });
  await page.evaluate(() => call.live);
}

const state = (page: Page) => page.evaluate(() => call.state);
const reconnected = (page: Page) => expect.poll(() => state(page), { timeout: 20_000 }).toBe('live');

describe('a call whose socket is cut for 5 s', { timeout: 90_000 }, () => {
  it('goes on in an echo without a gap, and ends as it would have', async () => {
    const page = await openPage();
    await cuttableCall(page, 'ep_echo');
    await expectPictures(page);
    await page.evaluate(() => {
      Object.assign(globalThis, { told: [], stream: call.participants.get(sdk.REMOTE), session: call.session });
      call.on('reconnecting', ({ media }) => void globalThis.told.push(media));
    });
    await watchGaps(page);
    proxy.cut();
    await expect.poll(() => state(page)).toBe('reconnecting');
    await delay(AWAY_MS);
    await proxy.mend();
    await reconnected(page);
    expect(await longestGap(page)).toBeLessThan(GAP_MS);
    expect(await page.evaluate(() => [told, call.participants.get(sdk.REMOTE) === stream])).toEqual([[true], true]);
    expect(
      await page.evaluate(() => [call.session?.id === session.id, +call.session!.expiresAt - +session.expiresAt]),
    ).toEqual([true, 0]);
    await expectMedia(page);
    await page.evaluate(() => call.hangup());
    expect(await page.evaluate(async () => (await call.ended).reason)).toBe('completed');
  });

  it('goes on in a room of three without a gap for anybody', async () => {
    const [first, ...others] = [await openPage(), await openPage(), await openPage()] as const;
    await cuttableCall(first, 'ep_room');
    for (const page of others) await liveCall(page, server, 'ep_room', { audio: true, video: TINY });
    for (const page of pages) await expectPictures(page, 2);
    const before = await Promise.all(pages.map((page) => page.evaluate(() => [...call.participants.keys()])));
    for (const page of pages) await watchGaps(page);
    proxy.cut();
    await delay(AWAY_MS);
    await proxy.mend();
    await reconnected(first);
    for (const page of pages) expect(await longestGap(page)).toBeLessThan(GAP_MS);
    for (const page of pages) await expectPictures(page, 2);
    expect(await Promise.all(pages.map((page) => page.evaluate(() => [...call.participants.keys()])))).toEqual(before);
    await Promise.all(pages.map((page) => page.close()));
    // A page that is closed leaves no ghost for its grace.
    await expect.poll(() => server.running.held()).toEqual({ sessions: 0, sockets: 0, calls: 0 });
  });
});

describe('a call that is live', { timeout: 60_000 }, () => {
  it('takes what it has asked for from another socket when this one is silent', async () => {
    const page = await openPage();
    await cuttableCall(page, 'ep_echo');
    proxy.deaf = true;
    await page.evaluate(() => globalThis.dispatchEvent(new Event('online')));
    await expect.poll(() => state(page)).toBe('reconnecting');
    proxy.deaf = false;
    await reconnected(page);
    await expectMedia(page);
  });

  it('hangs up when its page is reloaded', async () => {
    const page = await openPage();
    await cuttableCall(page, 'ep_echo');
    await page.reload();
    await expect.poll(() => server.running.held().sessions).toBe(0);
  });
});

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { expectPictures, expectSound, liveCall } from '../support/caller.ts';
import { TestServer } from '../support/server.ts';

let server: TestServer;
let site: CallerSite;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  [server, site, browser] = await Promise.all([
    TestServer.start(),
    serveCallerSite(),
    launchBrowser({ devices: 'denied' }),
  ]);
});
afterEach(() => page.close());
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await server?.stop();
});

describe('a caller who refuses camera and microphone', { timeout: 90_000 }, () => {
  it('is told so for each, and the call goes on without them', async () => {
    page = await site.open(browser);
    await liveCall(page, server, 'ep_echo');
    // The call may be live before the browser has refused.
    await expectTroubles(['audio media_denied', 'video media_denied']);
    expect(await page.evaluate(() => [call.state, call.local.getTracks().length])).toEqual(['live', 0]);
  });

  it('can still show something else', async () => {
    page = await site.open(browser);
    await liveCall(page, server, 'ep_echo');
    await page.evaluate(async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
      const context = canvas.getContext('2d');
      setInterval(() => {
        if (context) context.fillStyle = `hsl(${performance.now() % 360} 80% 50%)`;
        context?.fillRect(0, 0, 320, 240);
      }, 50);
      await call.replaceTrack('video', canvas.captureStream(15).getVideoTracks()[0] ?? null);
    });
    await expectPictures(page);
  });

  it('opens no device at all when it only receives', async () => {
    page = await site.open(browser);
    await liveCall(page, server, 'ep_echo', { audio: 'recvonly', video: 'recvonly' });
    expect(await page.evaluate(() => seen.errors)).toEqual([]);
  });
});

describe('a caller who has one device only', { timeout: 90_000 }, () => {
  it('is heard where there is no camera, which is named', async () => {
    const poor = await launchBrowser({ cameras: 0 });
    try {
      page = await site.open(poor);
      await liveCall(page, server, 'ep_echo');
      await expectSound(page);
      await expectTroubles(['video media_unavailable']);
    } finally {
      await poor.close();
    }
  });

  it('is heard where the camera was refused, and goes on without the microphone when that is taken away', async () => {
    const asking = await launchBrowser({ devices: 'asked' });
    try {
      page = await site.open(asking);
      await page.context().grantPermissions(['microphone']);
      await liveCall(page, server, 'ep_echo');
      await expectSound(page);
      await expectTroubles(['video media_denied']);
      expect(await sentKinds()).toEqual(['audio']);
      await page.context().clearPermissions();
      await expectTroubles(['video media_denied', 'audio media_lost']);
      await expect.poll(sentKinds, { timeout: 20_000 }).toEqual([]);
      expect(await page.evaluate(() => [call.state, call.local.getTracks().length])).toEqual(['live', 0]);
    } finally {
      await asking.close();
    }
  });
});

const expectTroubles = (troubles: string[]) =>
  expect.poll(() => page.evaluate(() => seen.errors), { timeout: 20_000 }).toEqual(troubles);

/** What is sent at the moment, as the browser that sends it counts. */
const sentKinds = () =>
  page.evaluate(async () => {
    const reports = [...(await call.getStats()).values()];
    const sources = reports.filter(({ type }) => type === 'media-source');
    return sources.map(({ kind }) => kind as string);
  });

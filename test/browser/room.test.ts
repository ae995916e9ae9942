import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { expectPictures, expectSound, liveCall } from '../support/caller.ts';
import { TestServer } from '../support/server.ts';

let server: TestServer;
let site: CallerSite;
let browser: Browser;

beforeAll(async () => {
  [server, site, browser] = await Promise.all([TestServer.start(), serveCallerSite(), launchBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await server?.stop();
});

const tracksOf = (page: Page) =>
  page.evaluate(() =>
    [...call.participants.values()].map((stream) =>
      stream
        .getTracks()
        .map(({ kind }) => kind)
        .sort(),
    ),
  );
const expectOthers = (page: Page, count: number) =>
  expect.poll(() => tracksOf(page), { timeout: 20_000 }).toEqual(Array(count).fill(['audio', 'video']));

describe('three tabs in a room', { timeout: 180_000 }, () => {
  it('hear and see each other, and one who leaves is gone for the others', async () => {
    const pages = await Promise.all([site.open(browser), site.open(browser), site.open(browser)]);
    const [first, second, third] = pages as [Page, Page, Page];
    for (const page of pages) await liveCall(page, server, 'ep_room');
    for (const page of pages) await expectOthers(page, 2);
    for (const page of pages) {
      await expectSound(page);
      await expectPictures(page, 2);
    }

    await second.evaluate(() => call.hangup());
    for (const page of [first, third]) await expectOthers(page, 1);

    // The section of the one who left is used again.
    await liveCall(second, server, 'ep_room');
    for (const page of pages) await expectOthers(page, 2);
    for (const page of pages) await expectPictures(page, 2);
    await Promise.all(pages.map((page) => page.close()));
    await expect.poll(() => server.running.held(), { timeout: 10_000 }).toEqual({ sessions: 0, sockets: 0, calls: 0 });
  });
});

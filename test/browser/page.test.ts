import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { type RunningServer, startServer } from '../../src/server.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { launchBrowser } from '../support/browser.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { TestServer } from '../support/server.ts';

let demo: RunningServer;
let browser: Browser;
let page: Page;
/** What the page complained about: scripts that threw, and what its content security policy blocked. */
let complaints: string[];

beforeAll(async () => {
  await build({ configFile: fileURLToPath(new URL('../../vite.config.ts', import.meta.url)), logLevel: 'error' });
  const { config } = loadConfig({ PORT: '0' });
  const media = { ...config.media, workers: 1 };
  [demo, browser] = await Promise.all([
    startServer({ config: { ...config, media }, demo: true, log: createLog('fatal') }),
    launchBrowser(),
  ]);
});
afterEach(() => page.close());
afterAll(async () => {
  await browser?.close();
  await demo?.close();
});

async function open(url: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<void> {
  page = await browser.newPage(options);
  complaints = [];
  page.on('pageerror', (error) => void complaints.push(error.message));
  page.on('console', (message) => {
    // A 404 tells the page that this server is not the demo; the browser logs it all the same.
    if (message.type() === 'error' && !message.text().includes('404')) complaints.push(message.text());
  });
  await page.goto(url);
}

const text = async (selector: string) => (await page.locator(selector).textContent()) ?? '';
const status = () => page.locator('#ticket').getAttribute('data-status');
const within = { timeout: 20_000 };
const expectLive = () => expect.poll(() => text('#state'), within).toBe('Live');

/** Moves the focus with Tab alone, as somebody without a mouse does. */
async function tabTo(selector: string): Promise<void> {
  for (let presses = 0; presses < 20; presses++) {
    if (await page.locator(selector).evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab does not reach ${selector}`);
}

const playing = (participant: string) =>
  page.locator(`[data-participant="${participant}"] video`).evaluate((video: HTMLVideoElement) => ({
    width: video.videoWidth > 0,
    moving: video.currentTime > 0,
  }));

/** Has the page open its sockets at another port. */
function socketsThrough(port: number): void {
  globalThis.WebSocket = class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(Object.assign(new URL(url), { port }), protocols);
    }
  };
}

const countPictures = (video: HTMLVideoElement) => video.getVideoPlaybackQuality().totalVideoFrames;

describe.each([
  ['a desk', { width: 1180, height: 800 }, 'light'],
  ['a phone', { width: 360, height: 740 }, 'dark'],
] as const)('the demo page on %s', { timeout: 90_000 }, (_, viewport, colorScheme) => {
  it('makes a call and shows that the token is spent, by keyboard alone', async () => {
    await open(demo.url, { viewport, colorScheme });
    await expect.poll(() => page.locator('#endpoints input').count()).toBe(3);
    await tabTo('#make');
    await page.keyboard.press('Enter');
    await expectLive();
    await expect.poll(() => playing('self'), within).toEqual({ width: true, moving: true });
    await expect.poll(() => playing('remote'), within).toEqual({ width: true, moving: true });
    await expect.poll(status, within).toBe('active');
    await expect.poll(() => page.locator('#timings .reached').count(), within).toBe(6);
    expect(await text('#countdown')).toMatch(/^Session ends in (60:00|59:\d\d)$/);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(viewport.width);

    await tabTo('#reuse');
    await page.keyboard.press('Enter');
    await expect.poll(() => text('#refusal'), within).toMatch(/token_used[\s\S]*already used[\s\S]*4409/);
    expect(await text('#state')).toBe('Live');

    await tabTo('#hangup');
    await page.keyboard.press('Enter');
    await expect.poll(() => text('#end-reason'), within).toBe('completed');
    await expect.poll(status, within).toBe('completed');
    expect(await page.locator('#end-reason').evaluate((heading) => heading === document.activeElement)).toBe(true);
    await tabTo('#again');
    await page.keyboard.press('Enter');
    expect(await page.locator('#make').isVisible()).toBe(true);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(viewport.width);
    expect(complaints).toEqual([]);
  });
});

describe('the demo page', { timeout: 90_000 }, () => {
  it('shows everyone in a room', async () => {
    await open(demo.url);
    await page.locator('input[value="ep_room"]').check();
    await page.locator('#make').click();
    await expectLive();
    const other = await browser.newPage();
    await other.goto(demo.url);
    await other.locator('input[value="ep_room"]').check();
    await other.locator('#make').click();
    for (const tab of [page, other]) {
      const guest = tab.locator('.tile:not([data-participant="self"]) video');
      await expect
        .poll(
          async () => (await guest.count()) && guest.evaluate((video: HTMLVideoElement) => video.videoWidth > 0),
          within,
        )
        .toBe(true);
    }
    await other.close();
    await expect.poll(() => page.locator('.tile').count(), within).toBe(1);
  });

  it('says that it reconnects, and keeps the picture', async () => {
    const proxy = await CuttingProxy.start(Number(new URL(demo.url).port));
    await open(demo.url);
    await page.addInitScript(socketsThrough, proxy.port);
    await page.reload();
    await page.locator('#make').click();
    await expectLive();
    await expect.poll(() => playing('remote'), within).toEqual({ width: true, moving: true });
    expect(await page.locator('#reconnecting').isVisible()).toBe(false);
    proxy.cut();
    await expect.poll(() => text('#state')).toBe('Reconnecting…');
    await expect.poll(() => page.locator('#reconnecting').isVisible()).toBe(true);
    expect(await text('#reconnecting')).toContain('Sound and picture go on');
    const shown = () => page.locator('[data-participant="remote"] video').evaluate(countPictures);
    const before = await shown();
    await expect.poll(shown).toBeGreaterThan(before + 5);
    await proxy.mend();
    await expectLive();
    expect(await page.locator('#reconnecting').isVisible()).toBe(false);
    expect(await playing('remote')).toEqual({ width: true, moving: true });
    await page.locator('#hangup').click();
    await expect.poll(() => text('#end-reason'), within).toBe('completed');
    await proxy.stop();
  });

  it('keeps the token out of its address and its text', async () => {
    await open(demo.url);
    const minting = page.waitForResponse((response) => response.url().endsWith('/demo/call-tokens'));
    await page.locator('#make').click();
    const { token } = (await (await minting).json()) as { token: string };
    await expectLive();
    expect(page.url()).not.toContain(token.slice(0, 20));
    expect(await page.content()).not.toContain(token.slice(0, 20));
  });
});

describe('the page of a server that mints for backends only', { timeout: 90_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.start();
  });
  afterAll(() => server?.stop());

  it('takes a pasted token', async () => {
    await open(server.running.url);
    const { token } = await server.mint('ep_echo');
    await page.getByLabel('Call token', { exact: true }).fill(token);
    expect(await page.getByLabel('Endpoint').inputValue()).toBe('ep_echo');
    await page.locator('#make').click();
    await expectLive();
    expect(await status()).toBe('active');
    await page.locator('#hangup').click();
    await expect.poll(() => text('#end-reason'), within).toBe('completed');
    await page.locator('#reuse').click();
    await expect.poll(() => text('#refusal'), within).toContain('token_used');
    expect(complaints).toEqual([]);
  });
});

describe('a visitor who refuses the camera', { timeout: 90_000 }, () => {
  it('is told so and stays in the call', async () => {
    const refusing = await launchBrowser({ devices: 'denied' });
    try {
      page = await refusing.newPage();
      await page.goto(demo.url);
      await page.locator('#make').click();
      await expectLive();
      // The call may be live before the browser has refused.
      await expect.poll(() => text('#device-trouble'), within).toContain('media_denied');
      await page.locator('#sound-only').click();
      await expect.poll(() => text('#device-trouble'), within).toContain('refused as well');
      await page.locator('#receive-only').click();
      expect(await page.locator('#device-trouble').isVisible()).toBe(false);
      expect(await text('#state')).toBe('Live');
    } finally {
      await refusing.close();
    }
  });
});

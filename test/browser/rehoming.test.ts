import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { expectMedia } from '../support/caller.ts';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import type { ServerProcess } from '../support/server-process.ts';

const ENDPOINTS = `
      - { id: ep_echo, flow: flow_a, webrtc: true, target: { kind: echo } }
      - { id: ep_room, flow: flow_a, webrtc: true, target: { kind: room } }`;

declare global {
  /** Of everyone, as the page began to show them. */
  var shown: Map<string, { video: HTMLVideoElement; stream: MediaStream }>;
  /** Who was missing, or without a picture, at any time. */
  var missed: string[];
  var sessionId: string | undefined;
  var reconnecting: boolean[];
}

let redis: TestRedis;
let deployment: Deployment;
let first: ServerProcess;
let second: ServerProcess;
let site: CallerSite;
let browser: Browser;
let pages: Page[] = [];

beforeAll(async () => {
  [redis, site, browser] = await Promise.all([TestRedis.start(), serveCallerSite(), launchBrowser()]);
  deployment = await Deployment.create({ redisUrl: redis.url, endpoints: ENDPOINTS });
  [first, second] = await Promise.all([deployment.server(), deployment.server()]);
});
afterEach(async () => {
  await Promise.all(pages.map((page) => page.close()));
  pages = [];
});
afterAll(async () => {
  await browser?.close();
  await deployment?.stop();
  await site?.close();
  await redis?.stop();
});

/** A page with a live call that plays everyone in a `<video>` of their own, and never touches one again. */
async function liveCall(endpointId: string): Promise<Page> {
  const page = await site.open(browser);
  pages.push(page);
  const { token } = await deployment.mint(first, endpointId);
  const url = [first, second].map(({ wsUrl }) => wsUrl);
  await page.evaluate(
    async ([url, endpointId, token]) => {
      const video = { width: 160, height: 120, frameRate: 15 };
      globalThis.call = sdk.connect({ url, endpointId, token, media: { audio: true, video } });
      globalThis.seen = { states: [call.state], errors: [] };
      globalThis.shown = new Map();
      globalThis.missed = [];
      globalThis.reconnecting = [];
      call.on('state', (state) => void seen.states.push(state));
      call.on('reconnecting', ({ media }) => void reconnecting.push(media));
      call.on('participants', (participants) => {
        missed.push(...[...shown.keys()].filter((id) => !participants.has(id)));
        for (const [id, stream] of participants) {
          if (shown.has(id)) continue;
          const video = Object.assign(document.createElement('video'), { srcObject: stream, autoplay: true });
          document.body.append(video);
          video.onresize = () => void (video.videoWidth === 0 && missed.push(id));
          shown.set(id, { video, stream });
        }
      });
      await call.live;
      globalThis.sessionId = call.session?.id;
    },
    [url, endpointId, token] as const,
  );
  return page;
}

/** How many pictures each `<video>` has shown. */
const pictures = (page: Page) =>
  page.evaluate(() => [...shown.values()].map(({ video }) => video.getVideoPlaybackQuality().totalVideoFrames));

async function expectPlaying(page: Page, count = 1): Promise<void> {
  await expect.poll(async () => (await pictures(page)).length).toBe(count);
  const before = await pictures(page);
  await expect
    .poll(async () => (await pictures(page)).every((frames, index) => frames > before[index]! + 5), {
      timeout: 30_000,
    })
    .toBe(true);
}

/** From here on nobody may be missing; at the beginning sound comes before the picture at times. */
const watch = (page: Page) => page.evaluate(() => void missed.splice(0));

const back = (page: Page) =>
  expect
    .poll(() => page.evaluate(() => [seen.states.includes('reconnecting'), call.state]), { timeout: 30_000 })
    .toEqual([true, 'live']);

/** Everyone is still who they were, in the stream and the picture that the page has shown all along. */
const expectSame = async (page: Page) =>
  expect(
    await page.evaluate(() => [
      call.session?.id === sessionId,
      call.participants.size,
      [...shown].every(([id, { stream, video }]) => call.participants.get(id) === stream && video.srcObject === stream),
      missed,
    ]),
  ).toEqual([true, await page.evaluate(() => shown.size), true, []]);

/** Kills the one worker of the first server, on which all calls are. */
const killWorker = () => {
  const { pid } = first;
  process.kill(Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]), 'SIGKILL');
};

describe('a call whose media worker is killed', { timeout: 120_000 }, () => {
  it('is heard and seen again in the same video', async () => {
    const page = await liveCall('ep_echo');
    await expectPlaying(page);
    await watch(page);
    killWorker();
    await back(page);
    await expectPlaying(page);
    await expectSame(page);
    await expectMedia(page);
    expect(await page.evaluate(() => reconnecting)).toEqual([false]);
    await page.evaluate(() => call.hangup());
  });

  it('finds everybody in its room again', async () => {
    const room = [await liveCall('ep_room'), await liveCall('ep_room')];
    for (const page of room) await expectPlaying(page);
    for (const page of room) await watch(page);
    killWorker();
    for (const page of room) await back(page);
    for (const page of room) await expectPlaying(page);
    for (const page of room) await expectSame(page);
  });
});

describe('a call whose process is killed', { timeout: 120_000 }, () => {
  it('goes on at the other one in the same video, and says that no media came in meanwhile', async () => {
    const page = await liveCall('ep_echo');
    await expectPlaying(page);
    await watch(page);
    first.signal('SIGKILL');
    await back(page);
    await expectPlaying(page);
    await expectSame(page);
    await expectMedia(page);
    expect(await page.evaluate(() => reconnecting.at(-1))).toBe(false);
    await page.evaluate(() => call.hangup());
    expect(await page.evaluate(async () => (await call.ended).reason)).toBe('completed');
  });
});

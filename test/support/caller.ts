import { expect } from 'vitest';
import type * as Sdk from '../../src/client/index.ts';
import type { CallerPage } from './browser.ts';
import type { MintedToken, TestServer } from './server.ts';

declare global {
  var sdk: typeof Sdk;
  var call: Sdk.Call;
  var certificate: RTCCertificate;
  var seen: { states: Sdk.CallState[]; errors: string[] };
}

/** Enough picture to count, and little work for a busy machine. */
export const SMALL = { width: 320, height: 240, frameRate: 15 };

/** Makes the page's one call (`globalThis.call`) and plays whatever comes back. */
export async function startCall(page: CallerPage, minted: MintedToken, media: Sdk.MediaChoices): Promise<void> {
  await page.evaluate(
    ([{ ws_url, endpoint_id, token }, media]) => {
      const call = sdk.connect({ url: ws_url, endpointId: endpoint_id, token, media });
      globalThis.call = call;
      globalThis.seen = { states: [call.state], errors: [] };
      call.on('state', (state) => void seen.states.push(state));
      call.on('mediaerror', ({ code, kind }) => void seen.errors.push(`${kind} ${code}`));
      call.on('participants', (participants) => {
        document.body.replaceChildren(
          ...[...participants.values()].map((srcObject) =>
            Object.assign(document.createElement('video'), { srcObject, autoplay: true }),
          ),
        );
      });
    },
    [minted, media] as const,
  );
}

/** Starts a call and waits until its media is connected. */
export async function liveCall(
  page: CallerPage,
  server: TestServer,
  endpointId: string,
  media: Sdk.MediaChoices = { audio: true, video: SMALL },
): Promise<MintedToken> {
  const minted = await server.mint(endpointId);
  await startCall(page, minted, media);
  await page.evaluate(() => call.live);
  return minted;
}

export interface Arrived {
  /** Audio samples that were played, and whether any was louder than silence. */
  samples: number;
  heard: boolean;
  /** Decoded pictures, one number for each video that comes in. */
  frames: number[];
}

/** What has arrived, counted by the browser that received it. */
export const arrived = (page: CallerPage): Promise<Arrived> =>
  page.evaluate(async () => {
    const inbound = [...(await call.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
    const audio = inbound.filter(({ kind }) => kind === 'audio');
    const sum = (name: string) => audio.reduce((total, report) => total + (report[name] ?? 0), 0);
    return {
      samples: sum('jitterBufferEmittedCount'),
      heard: sum('totalAudioEnergy') > 0,
      frames: inbound.filter(({ kind }) => kind === 'video').map(({ framesDecoded }) => framesDecoded ?? 0),
    };
  });

/** Waits until pictures of this many videos have been decoded since now. */
export async function expectPictures(page: CallerPage, videos = 1): Promise<void> {
  const before = (await arrived(page)).frames;
  const moving = async () => (await arrived(page)).frames.filter((frames, index) => frames >= (before[index] ?? 0) + 5);
  await expect.poll(async () => (await moving()).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(videos);
}

export async function expectSound(page: CallerPage): Promise<void> {
  const before = (await arrived(page)).samples;
  await expect
    .poll(async () => (await arrived(page)).samples, { timeout: 20_000 })
    .toBeGreaterThan(before + 48_000 / 4);
  await expect.poll(async () => (await arrived(page)).heard, { timeout: 20_000 }).toBe(true);
}

/** The call is live, and what has gone through the server comes in now. */
export async function expectMedia(page: CallerPage): Promise<void> {
  await expectSound(page);
  await expectPictures(page);
  expect(await page.evaluate(() => [seen.states.at(-1), ...seen.errors])).toEqual(['live']);
}

/** How the page's call ended, once it has. */
export const ending = (page: CallerPage): Promise<{ reason?: string; code?: string; closeCode?: number }> =>
  page.evaluate(async () => {
    const { reason, error } = await call.ended;
    return {
      ...(reason && { reason }),
      ...(error && { code: error.code, ...(error.closeCode && { closeCode: error.closeCode }) }),
    };
  });

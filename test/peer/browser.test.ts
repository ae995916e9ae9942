import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPeer } from '../../src/peer/index.ts';
import { type MediaFixture, startMedia } from '../support/media.ts';
import { type Chromium, Peer as Page, startChromium } from '../support/media-chromium.ts';

let media: MediaFixture;
let chromium: Chromium;

beforeAll(async () => {
  [media, chromium] = await Promise.all([startMedia(), startChromium()]);
});

afterAll(async () => {
  await chromium.close();
  await media.close();
});

type Inbound = Record<'audio' | 'video', Record<string, number>>;

/** What the watcher received, by kind. */
const inbound = ({ page }: Chromium): Promise<Inbound> =>
  page.evaluate(async () => {
    const { connection } = globalThis.peers.get('watcher')!;
    const reports = [...(await connection.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
    return Object.fromEntries(reports.map((report) => [report.kind, report])) as Inbound;
  });

describe('a browser in a room with a peer', () => {
  it('decodes its video and hears its audio', async () => {
    const room = { target: 'room', id: 'watched' } as const;
    const joined = await media.open(room);
    const peer = await createPeer('audio+video');
    await joined.call.accept(joined.call.firstOffer.id, await peer.answer(joined.call.firstOffer.sdp));
    await peer.connected;

    const watcher = await media.open(room);
    const page = new Page(chromium, 'watcher', { audio: false, video: false });
    await page.join(watcher);
    const offers = () => [watcher.call.firstOffer, ...watcher.events.offers];
    const tracks = () => offers().findLast(({ tracks: all }) => all !== undefined)?.tracks ?? [];
    await watcher.events.until(() => tracks().length === 2);
    const mids = tracks().map(({ mid }) => mid);
    // More frames than lie between two key frames: none of them lacks one that it depends on.
    await page.hears(mids, 60);
    const { audio, video } = await inbound(chromium);
    expect(video).toMatchObject({ frameWidth: 320, frameHeight: 240, packetsLost: 0 });
    expect(video.framesDecoded).toBeGreaterThanOrEqual(60);
    expect(video.keyFramesDecoded).toBeGreaterThanOrEqual(2);
    expect(audio).toMatchObject({ packetsLost: 0 });
    expect(audio.totalAudioEnergy).toBeGreaterThan(0);
    expect(audio.concealedSamples).toBeLessThan(audio.totalSamplesReceived! / 2);

    joined.call.close();
    watcher.call.close();
    await page.close();
    await peer.close();
  });
});

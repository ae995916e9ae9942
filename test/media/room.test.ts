import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MediaFixture, startMedia, type TestCall } from '../support/media.ts';
import { type Chromium, Peer, startChromium } from '../support/media-chromium.ts';

let media: MediaFixture;
let chromium: Chromium;

beforeAll(async () => {
  [media, chromium] = await Promise.all([startMedia(), startChromium()]);
});

afterAll(async () => {
  await chromium.close();
  await media.close();
});

const NOTHING = { transports: 0, producers: 0, consumers: 0 };

/** The latest `tracks` that a participant was told. */
const tracksOf = ({ call, events }: TestCall) =>
  [call.firstOffer, ...events.offers].findLast(({ tracks }) => tracks !== undefined)?.tracks ?? [];

const enter = async (id: string, name: string) => {
  const joined = await media.open({ target: 'room', id, allowed: { simulcast: true } });
  const peer = new Peer(chromium, `${id} ${name}`);
  await peer.join(joined);
  return { ...joined, peer };
};

const leave = async (...members: (TestCall & { peer: Peer })[]) => {
  for (const { call } of members) call.close();
  for (const { peer } of members) await peer.close();
};

const sees = async (member: TestCall & { peer: Peer }, tracks: number) => {
  await member.events.until(() => tracksOf(member).length === tracks);
  await member.peer.hears(tracksOf(member).map(({ mid }) => mid));
};

describe('a room with Chromium', () => {
  it('lets three participants hear and see each other, and tells who is on which section', async () => {
    const a = await enter('trio', 'a');
    expect(a.call.firstOffer.tracks).toEqual([]);
    await a.events.has('connected');
    const b = await enter('trio', 'b');
    await Promise.all([sees(a, 2), sees(b, 2)]);
    const c = await enter('trio', 'c');
    // Those who are there already are in the first offer.
    expect(c.call.firstOffer.tracks).toHaveLength(4);
    await Promise.all([sees(a, 4), sees(b, 4), sees(c, 4)]);

    const participants = new Set(tracksOf(c).map(({ participant }) => participant));
    expect(participants.size).toBe(2);
    const streams = await c.peer.streams();
    for (const { mid, participant } of tracksOf(c)) expect(streams[mid]).toBe(participant);

    await leave(a, b, c);
    expect(await media.held()).toEqual(NOTHING);
  });

  it('gives the sections of one who left to the next who comes', async () => {
    const a = await enter('reuse', 'a');
    const b = await enter('reuse', 'b');
    await sees(a, 2);
    const before = tracksOf(a);
    await b.peer.close();
    await b.events.has('ended completed');
    await a.events.until(() => tracksOf(a).length === 0);
    const again = await enter('reuse', 'b again');
    await sees(a, 2);
    const after = tracksOf(a);
    expect(new Set(after.map(({ mid }) => mid))).toEqual(new Set(before.map(({ mid }) => mid)));
    expect(after[0]?.participant).not.toBe(before[0]?.participant);
    await leave(a, again);
  });

  it('shows a listener everybody, and nobody the listener', async () => {
    const speaker = await enter('listener', 'speaker');
    await speaker.events.has('connected');
    const listener = await media.open({
      target: 'room',
      id: 'listener',
      media: { audio: 'recvonly', video: 'recvonly' },
    });
    const peer = new Peer(chromium, 'listener');
    await peer.join(listener);
    await sees({ ...listener, peer }, 2);
    expect(speaker.events.offers).toEqual([]);
    await leave(speaker, { ...listener, peer });
  });
});

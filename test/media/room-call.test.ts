import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { readOffer } from '../../src/peer/sdp/offer.ts';
import { type MediaFixture, startMedia, type TestCall } from '../support/media.ts';
import { RtcClient, type RtcClientOptions } from '../support/rtc-client.ts';

let media: MediaFixture;

beforeAll(async () => {
  media = await startMedia({ maxRoomParticipants: 22 });
});

afterAll(() => media.close());

type Member = TestCall & { client: RtcClient };

const enter = async (id: string, options: RtcClientOptions = {}): Promise<Member> => {
  const joined = await media.open({ target: 'room', id });
  const client = await RtcClient.answer(joined.call.firstOffer.sdp, options);
  await joined.call.accept(joined.call.firstOffer.id, client.answerSdp);
  await client.connected;
  client.startSending();
  return { ...joined, client };
};

const left = new WeakSet<Member>();

const leave = async (...members: Member[]) => {
  for (const member of members) {
    left.add(member);
    member.call.close();
  }
  await Promise.all(members.map(({ client }) => client.close()));
};

/** Answers every offer until the test leaves. */
const follow = async (member: Member) => {
  const { call, events, client } = member;
  for (let next = 0; !left.has(member); next++) {
    await events.until(() => events.offers.length > next);
    const offer = events.offers[next]!;
    await call.accept(offer.id, await client.answer(offer.sdp));
  }
};

describe('a room', () => {
  it('shows a track once its first packet has come, and not before', async () => {
    const watcher = await media.open({ target: 'room', id: 'first packet' });
    const identity = newIdentity();
    await watcher.call.accept('1', writeAnswer(watcher.call.firstOffer.sdp, { identity }));
    const { call } = await media.open({ target: 'room', id: 'first packet' });
    const client = await RtcClient.answer(call.firstOffer.sdp);
    await call.accept('1', client.answerSdp);
    await client.connected;
    const late = await media.open({ target: 'room', id: 'first packet' });
    expect(late.call.firstOffer.tracks).toEqual([]);
    expect(watcher.events.offers).toEqual([]);
    client.startSending();
    await watcher.events.until(() => watcher.events.offers.length > 0);
    expect(watcher.events.offers[0]?.tracks?.length).toBeGreaterThan(0);
    for (const each of [watcher, late, { call }]) each.call.close();
    await client.close();
  });

  it('merges 20 joins within one round trip of a slow client into its next offer, and delays nobody for it', async () => {
    const slow = await media.open({ target: 'room', id: 'slow', media: { video: 'none' } });
    const identity = newIdentity();
    const others: Member[] = [];
    for (let i = 0; i < 20; i++) others.push(await enter('slow', { kinds: ['audio'] }));
    for (const member of others) void follow(member);
    // Everyone hears the 19 others while the slow one has not even answered its first offer.
    await Promise.all(
      others.map(({ events }) =>
        events.until(() => (events.offers.findLast((offer) => offer.tracks)?.tracks?.length ?? 0) >= 19),
      ),
    );
    expect(slow.events.offers).toEqual([]);
    await slow.call.accept('1', writeAnswer(slow.call.firstOffer.sdp, { identity }));
    await slow.events.has('offer 2');
    expect(slow.events.offers).toHaveLength(1);
    expect(slow.events.offers[0]?.tracks).toHaveLength(20);
    expect(new Set(slow.events.offers[0]?.tracks?.map(({ participant }) => participant)).size).toBe(20);
    slow.call.close();
    await leave(...others);
    expect(await media.held()).toEqual({ transports: 0, producers: 0, consumers: 0 });
  });

  it('resumes a track when its section is accepted, and not before', async () => {
    const speaker = await enter('resume');
    const listener = await enter('resume', { direction: 'recvonly' });
    await listener.events.until(() => listener.events.offers.length > 0 || listener.call.firstOffer.tracks!.length > 1);
    expect(listener.client.received).toEqual({ audio: 0, video: 0 });
    void follow(listener);
    await expect
      .poll(() => Math.min(listener.client.received.audio, listener.client.received.video))
      .toBeGreaterThan(2);
    await leave(speaker, listener);
  });

  it('offers no video to one that answered no video codec, and takes a rejection as such', async () => {
    const speaker = await enter('rejecting');
    const audience = await media.open({ target: 'room', id: 'rejecting' });
    await expect.poll(() => media.held()).toMatchObject({ producers: 2 });
    const identity = newIdentity();
    const answer = ({ sdp }: { sdp: string }) => writeAnswer(sdp, { identity, kinds: ['audio'] });
    await audience.call.accept('1', answer(audience.call.firstOffer));
    await expect.poll(() => media.held()).toMatchObject({ consumers: 1 });
    const another = await enter('rejecting');
    await audience.events.until(() => audience.events.offers.length > 0);
    const offer = audience.events.offers.at(-1)!;
    expect(offer.tracks?.map(({ kind }) => kind)).toEqual(offer.tracks?.map(() => 'audio'));
    // Those who can see do not lose the picture by it.
    void follow(speaker);
    await expect.poll(() => speaker.client.received.video).toBeGreaterThan(2);
    audience.call.close();
    await leave(speaker, another);
  });

  it('declares each track with a stream of its participant, and makes it inactive when that one leaves', async () => {
    const speaker = await enter('leaver');
    const listener = await enter('leaver', { direction: 'recvonly' });
    void follow(listener);
    const shown = () =>
      listener.events.offers.findLast(({ tracks }) => tracks)?.tracks ?? listener.call.firstOffer.tracks!;
    await listener.events.until(() => shown().length === 2);
    const tracks = shown();
    const { sdp } = listener.events.offers.at(-1) ?? listener.call.firstOffer;
    for (const { mid, participant } of tracks) {
      const section = readOffer(sdp).sections.find((candidate) => candidate.mid === mid)!;
      expect(section.direction).toBe('sendonly');
      expect(section.attributes.some((line) => line.startsWith(`msid:${participant} `))).toBe(true);
      expect(section.attributes.some((line) => /^ssrc:\d+ cname:/.test(line))).toBe(true);
    }
    expect(tracks[0]?.participant).not.toContain('sess');
    await leave(speaker);
    await listener.events.until(() => shown().length === 0);
    const last = readOffer(listener.events.offers.at(-1)!.sdp).sections;
    for (const { mid } of tracks) expect(last.find((section) => section.mid === mid)?.direction).toBe('inactive');
    await leave(listener);
  });

  it('offers no video orientation, which some receivers lack, with own sections or those of others; an echo does', async () => {
    const echo = await media.open();
    expect(echo.call.firstOffer.sdp).toContain('urn:3gpp:video-orientation');
    echo.call.close();
    const speaker = await enter('upright');
    const listener = await enter('upright', { direction: 'recvonly' });
    void follow(listener);
    const offers = () => [listener.call.firstOffer, ...listener.events.offers];
    await listener.events.until(() => offers().some(({ tracks = [] }) => tracks.length === 2));
    for (const { sdp } of offers()) expect(sdp).not.toContain('video-orientation');
    await leave(speaker, listener);
  });

  it('takes no more participants than it may, and has room again when one leaves', async () => {
    const endpoint = {
      id: 'full',
      target: { kind: 'room' as const },
      media: { audio: true, video: true, simulcast: false },
    };
    const reservations = await Promise.all(Array.from({ length: 22 }, () => media.plane.reserve(endpoint)));
    await expect(media.plane.reserve(endpoint)).rejects.toMatchObject({ code: 'at_capacity', retryable: true });
    reservations[0]!.release();
    reservations[0]!.release();
    reservations.push(await media.plane.reserve(endpoint));
    await expect(media.plane.reserve(endpoint)).rejects.toMatchObject({ code: 'at_capacity' });
    for (const reservation of reservations) reservation.release();
    expect(media.plane.rooms).toBe(0);
    expect(media.pool.calls).toBe(0);
  });
});

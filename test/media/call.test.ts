import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { type MediaFixture, startMedia } from '../support/media.ts';
import { RtcClient } from '../support/rtc-client.ts';

let media: MediaFixture;

beforeAll(async () => {
  media = await startMedia();
});

afterAll(() => media.close());

const NOTHING = { transports: 0, producers: 0, consumers: 0 };
const FAILED = expect.objectContaining({ code: 'negotiation_failed' });

describe('a call', () => {
  it('holds a transport until it is closed, however often that happens', async () => {
    const { call } = await media.open();
    expect(await media.held()).toEqual({ ...NOTHING, transports: 1 });
    expect(media.pool.calls).toBe(1);
    call.close();
    call.close();
    expect(await media.held()).toEqual(NOTHING);
    expect(media.pool.calls).toBe(0);
  });

  it('is connected once ICE and DTLS are up, and gets back what it sends', async () => {
    const { call, events } = await media.open();
    const client = await RtcClient.answer(call.firstOffer.sdp);
    expect(await call.accept(call.firstOffer.id, client.answerSdp)).toMatch(/^sha-256 ([0-9A-F]{2}:){31}/);
    await client.connected;
    client.startSending();
    await expect.poll(() => Math.min(client.received.audio, client.received.video)).toBeGreaterThan(2);
    expect(events.told).toEqual(['connected']);
    await client.close();
    call.close();
  });

  it('says nothing any more once it is closed', async () => {
    const { call, events } = await media.open();
    call.close();
    call.change({ audio: 'none' });
    call.restart();
    expect(await call.accept(call.firstOffer.id, writeAnswer(call.firstOffer.sdp))).toBeUndefined();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(events.told).toEqual([]);
  });

  it('looks at no answer but the one to its outstanding offer', async () => {
    const { call, events } = await media.open();
    const identity = newIdentity();
    expect(await call.accept('2', 'garbage')).toBeUndefined();
    expect(await call.accept('1', writeAnswer(call.firstOffer.sdp, { identity }))).toMatch(
      /^sha-256 ([0-9A-F]{2}:){31}/,
    );
    expect(await call.accept('1', 'garbage')).toBeUndefined();
    call.change({ video: 'sendonly' });
    await events.has('offer 2');
    expect(await call.accept('1', 'garbage')).toBeUndefined();
    expect(await call.accept('2', writeAnswer(events.offers[0]!.sdp, { identity }))).toMatch(
      /^sha-256 ([0-9A-F]{2}:){31}/,
    );
    call.close();
  });

  it('tells that an answer was taken before it tells the next offer', async () => {
    const { call, events } = await media.open();
    call.change({});
    const accepted = call.accept('1', writeAnswer(call.firstOffer.sdp)).then(() => [...events.told]);
    expect(await accepted).toEqual([]);
    await events.has('offer 2');
    call.close();
  });

  it('refuses a hostile answer and is closed cleanly', async () => {
    const { call } = await media.open();
    await expect(call.accept('1', 'garbage')).rejects.toEqual(FAILED);
    call.close();
    expect(await media.held()).toEqual(NOTHING);
  });

  it('refuses a certificate that it is not bound to', async () => {
    const { fingerprint } = newIdentity();
    const { call } = await media.open({ fingerprint: `sha-256 ${fingerprint}` });
    await expect(call.accept('1', writeAnswer(call.firstOffer.sdp))).rejects.toEqual(FAILED);
    call.close();
  });

  it('ends when the certificate is not the one that was answered', async () => {
    const { call, events } = await media.open();
    const client = await RtcClient.answer(call.firstOffer.sdp);
    const other = newIdentity().fingerprint;
    await call.accept('1', client.answerSdp.replace(/(a=fingerprint:sha-256 ).*/g, `$1${other}`));
    await events.has('ended negotiation_failed');
    expect(events.told).toEqual(['ended negotiation_failed']);
    await client.close();
  });

  it('is unreachable while ICE is disconnected, and reachable when it has healed', async () => {
    const { call, events } = await media.open();
    const client = await RtcClient.answer(call.firstOffer.sdp);
    await call.accept('1', client.answerSdp);
    await events.has('connected');
    const [transport] = media.transports;
    // The worker takes 30 s to notice; this is its notification.
    transport!.emit('icestatechange', 'disconnected');
    transport!.emit('icestatechange', 'completed');
    expect(events.told).toEqual(['connected', 'unreachable', 'reachable']);
    await client.close();
    call.close();
  });

  it('makes one restart of many that are asked for before it is answered', async () => {
    const { call, events } = await media.open();
    const identity = newIdentity();
    const answer = (offer: { sdp: string }) => writeAnswer(offer.sdp, { identity });
    // Asked for while the first offer is unanswered: it is the next offer.
    for (let i = 0; i < 5; i++) call.restart();
    await call.accept('1', answer(call.firstOffer));
    await events.has('offer 2');
    for (let i = 0; i < 5; i++) call.restart();
    await call.accept('2', answer(events.offers[0]!));
    call.change({});
    await events.has('offer 3');
    const ufrags = [call.firstOffer, ...events.offers].map(({ sdp }) => /a=ice-ufrag:(.*)/.exec(sdp)?.[1]);
    expect(ufrags[1]).not.toBe(ufrags[0]);
    expect(ufrags[2]).toBe(ufrags[1]);
    call.close();
  });

  it('has a section even where the client wants nothing, so that it can change its mind', async () => {
    const { call, events } = await media.open({ media: { audio: 'none', video: 'none' } });
    expect(call.firstOffer.sections).toBe(1);
    expect(call.firstOffer.sdp).toContain('a=inactive');
    const identity = newIdentity();
    await call.accept('1', writeAnswer(call.firstOffer.sdp, { identity }));
    call.change({ audio: 'sendrecv' });
    await events.has('offer 2');
    expect(events.offers[0]?.sections).toBe(1);
    expect(events.offers[0]?.sdp).toContain('a=sendrecv');
    call.close();
  });

  it('offers no kind that its endpoint does not allow', async () => {
    const { call, events } = await media.open({ allowed: { video: false } });
    expect(call.firstOffer.sections).toBe(1);
    await call.accept('1', writeAnswer(call.firstOffer.sdp));
    call.change({ video: 'sendrecv' });
    await events.has('offer 2');
    expect(events.offers[0]?.sections).toBe(1);
    call.close();
  });

  it('leaves nothing behind when it is closed while it is answered', async () => {
    for (let delay = 0; delay < 5; delay++) {
      const { call, events } = await media.open();
      const accepting = call.accept('1', writeAnswer(call.firstOffer.sdp));
      for (let i = 0; i < delay; i++) await new Promise((resolve) => setImmediate(resolve));
      call.close();
      await accepting;
      expect(events.told).toEqual([]);
    }
    expect(await media.held()).toEqual(NOTHING);
    expect(media.transports.size).toBe(0);
  });

  it.each(['echo', 'room'] as const)(
    'to %s may be hung up right behind its answer, which the log need not tell',
    async (target) => {
      for (const ms of [undefined, 0, 0, 1, 1, 2, 2, 3, 5]) {
        const { call } = await media.open({ target });
        const accepted = call.accept('1', writeAnswer(call.firstOffer.sdp));
        if (ms !== undefined) await new Promise((resolve) => setTimeout(resolve, ms));
        call.close();
        expect(media.pool.calls).toBe(0);
        expect(await accepted).toMatch(/^sha-256 /);
      }
      expect(await media.held()).toEqual(NOTHING);
      expect(media.transports.size).toBe(0);
      expect(media.logged).toEqual([]);
    },
  );

  it('leaves nothing behind after 300 calls', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    for (let i = 0; i < 300; i++) {
      const { call } = await media.open({ target: i % 3 === 0 ? 'room' : 'echo' });
      if (i % 2 === 0) await call.accept('1', writeAnswer(call.firstOffer.sdp));
      call.close();
    }
    expect(await media.held()).toEqual(NOTHING);
    expect(media.transports.size).toBe(0);
    expect(media.pool.calls).toBe(0);
    expect(media.plane.rooms).toBe(0);
    expect(timers()).toBeLessThanOrEqual(before);
  });
});

describe('media without a worker', () => {
  it('loses every call, once, and opens new ones when the worker is replaced', async () => {
    const calls = [await media.open(), await media.open({ target: 'room' }), await media.open({ target: 'room' })];
    await calls[0]!.call.accept('1', writeAnswer(calls[0]!.call.firstOffer.sdp));
    process.kill(media.pool.workers[0]!.pid, 'SIGKILL');
    await Promise.all(calls.map(({ events }) => events.has('lost')));
    for (const { events } of calls) expect(events.told).toEqual(['lost']);
    await expect.poll(() => media.plane.ready, { timeout: 10_000 }).toBe(true);
    const { call } = await media.open({ target: 'room' });
    call.close();
    expect(await media.held()).toEqual(NOTHING);
  });

  it('loses a call also when the worker dies over an answer', async () => {
    const { call, events } = await media.open();
    const { pid } = media.pool.workers[0]!;
    process.kill(pid, 'SIGSTOP');
    const accepting = call.accept('1', writeAnswer(call.firstOffer.sdp));
    process.kill(pid, 'SIGKILL');
    await accepting;
    await events.has('lost');
    await expect.poll(() => media.plane.ready, { timeout: 10_000 }).toBe(true);
  });

  it('refuses to open on a slot whose worker has died', async () => {
    const endpoint = {
      id: 'ep',
      target: { kind: 'echo' as const },
      media: { audio: true, video: true, simulcast: false },
    };
    const reservation = await media.plane.reserve(endpoint);
    process.kill(media.pool.workers[0]!.pid, 'SIGKILL');
    await expect.poll(() => media.plane.ready).toBe(false);
    const spec = { sessionId: 'sess_1', endpoint, media: {}, participant: 'p_1', newOfferId: () => '1' };
    const listener = { offer() {}, connected() {}, reachable() {}, lost() {}, ended() {} };
    await expect(media.plane.open(spec, reservation.id, listener)).rejects.toMatchObject({ code: 'unavailable' });
    await expect.poll(() => media.plane.ready, { timeout: 10_000 }).toBe(true);
    expect(media.pool.calls).toBe(0);
  });
});

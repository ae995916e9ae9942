import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { readOffer, values } from '../../src/peer/sdp/offer.ts';
import { TestRedis } from '../support/redis.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { allFree, answerNext, errorsOf, hangUp, WAYS, win } from '../support/scenario.ts';
import { type MintedToken, TestServer } from '../support/server.ts';
import { startCall, TestSocket } from '../support/ws-client.ts';

let server: TestServer;
let hasty: TestServer;
beforeAll(async () => {
  const session = { answer_timeout_ms: 700, reoffer_timeout_ms: 700, connect_timeout_ms: 3000 };
  server = await TestServer.start({ config: { session: { grace_ms: 300 } } });
  hasty = await TestServer.start({ config: { session } });
});
afterAll(async () => {
  await server?.stop();
  await hasty?.stop();
});

const endsWith = async (socket: TestSocket, at: TestServer, id: string, reason: string): Promise<void> => {
  expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason });
  expect((await socket.closing()).code).toBe(1000);
  // `ended` follows the stored end.
  expect(await at.read(id)).toMatchObject({ status: 'completed', session: { end_reason: reason } });
  expect(errorsOf(socket.messages)).toEqual([]);
};

const eventually = (at: TestServer, { id }: MintedToken, reason: string) =>
  expect.poll(async () => (await at.read(id)).session?.end_reason, { timeout: 10_000 }).toBe(reason);

const started = async (at: TestServer, more: Record<string, unknown> = {}, endpoint_id = 'ep_echo') => {
  const minted = await at.mint(endpoint_id, more);
  const socket = await startCall(at.wsUrl, { endpoint_id, token: minted.token }, { timeoutMs: 20_000 });
  return { minted, socket };
};

const live = async (at: TestServer) => {
  const { minted, socket } = await started(at);
  const { offer_id, sdp } = await socket.expect('offer');
  const client = await RtcClient.answer(sdp);
  socket.send({ type: 'answer', offer_id, sdp: client.answerSdp });
  await socket.expect('live');
  return { minted, socket, client };
};

describe('a deadline ends a session', () => {
  it('that does not answer its first offer', async () => {
    const { minted, socket } = await started(hasty);
    await endsWith(socket, hasty, minted.id, 'answer_timeout');
  });

  it('that does not answer a later offer', async () => {
    const { minted, socket } = await started(hasty);
    await answerNext(socket, newIdentity());
    socket.send({ type: 'restart_ice' });
    await endsWith(socket, hasty, minted.id, 'answer_timeout');
  });

  it('that answers but never connects, whatever it asks for meanwhile', async () => {
    const { minted, socket } = await started(hasty);
    const identity = newIdentity();
    await answerNext(socket, identity);
    const asking = (async () => {
      for (;;) {
        socket.send({ type: 'restart_ice' });
        await answerNext(socket, identity);
        await delay(200);
      }
    })();
    await expect(asking).rejects.toThrow('closed with 1000');
    expect(socket.messages.at(-1)).toEqual({ type: 'ended', reason: 'connect_timeout' });
    await eventually(hasty, minted, 'connect_timeout');
  });

  it('that has had its time, without a notice when it is short', async () => {
    const { minted, socket } = await started(server, { max_duration_seconds: 1 });
    const offer = await socket.expect('offer');
    expect(offer.session.expires_in_ms).toBeLessThanOrEqual(1000);
    await endsWith(socket, server, minted.id, 'expired');
    expect(socket.messages.map(({ type }) => type)).toEqual(['offer', 'ended']);
  });

  it('that has had its time, 10 s after the notice', async () => {
    const { minted, socket } = await started(server, { max_duration_seconds: 11 });
    await answerNext(socket, newIdentity());
    const { expires_in_ms } = await socket.expect('expiring');
    expect(expires_in_ms).toBeLessThanOrEqual(10_000);
    expect(expires_in_ms).toBeGreaterThan(5000);
    await endsWith(socket, server, minted.id, 'expired');
  });
});

describe('a hang-up ends a session as completed', () => {
  it.each(WAYS)('sent right behind %s', async (_, early) => {
    const minted = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token: minted.token }, { early });
    socket.send({ type: 'hangup' });
    await endsWith(socket, server, minted.id, 'completed');
  });

  it('after the offer, after the answer, and while a later offer waits', async () => {
    for (const steps of [0, 1, 2]) {
      const { minted, socket } = await started(server);
      if (steps === 0) await socket.expect('offer');
      else await answerNext(socket, newIdentity());
      if (steps === 2) {
        socket.send({ type: 'restart_ice' });
        await socket.expect('offer');
      }
      socket.send({ type: 'hangup' });
      await endsWith(socket, server, minted.id, 'completed');
    }
  });

  it('while it is live, and twice is once', async () => {
    const { minted, socket, client } = await live(server);
    socket.send({ type: 'hangup' });
    socket.send({ type: 'hangup' });
    socket.sendRaw('and junk behind it');
    await endsWith(socket, server, minted.id, 'completed');
    expect(socket.messages.filter(({ type }) => type === 'ended')).toHaveLength(1);
    await client.close();
  });
});

describe('a lost socket', () => {
  it('ends a session as client_lost after its grace, be it after the offer, after the answer or while it is live', async () => {
    const offered = await started(server);
    await offered.socket.expect('offer');
    await offered.socket.cut();
    await eventually(server, offered.minted, 'client_lost');
    const answered = await started(server);
    await answerNext(answered.socket, newIdentity());
    await answered.socket.cut();
    await eventually(server, answered.minted, 'client_lost');
    const { minted, socket, client } = await live(server);
    await socket.cut();
    await eventually(server, minted, 'client_lost');
    await client.close();
  });

  it.each(WAYS)('right behind %s leaves the token issued or its session over, never in between', async (_, early) => {
    const tokens = await Promise.all(Array.from({ length: 20 }, () => server.mint('ep_echo')));
    const sockets = tokens.map(async ({ token }) => {
      const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token }, { early });
      await socket.cut();
    });
    await Promise.all(sockets);
    await allFree(server);
    for (const minted of tokens) {
      const { status, session } = await server.read(minted.id);
      if (status === 'issued') await hangUp(await win(server, minted));
      else expect({ status, reason: session?.end_reason }).toEqual({ status: 'completed', reason: 'client_lost' });
    }
  });

  it('before the burn does not spend the token', async () => {
    const redis = await TestRedis.start();
    const stored = await TestServer.start({ redisUrl: redis.url });
    try {
      const { minted, socket } = await (async () => {
        const minted = await stored.mint('ep_echo');
        const socket = await TestSocket.open(stored.wsUrl);
        return { minted, socket };
      })();
      redis.pause();
      socket.send({ type: 'start', endpoint_id: 'ep_echo', token: minted.token });
      await expect.poll(() => stored.running.held().calls).toBe(1);
      await socket.cut();
      await expect.poll(() => stored.running.held().sockets).toBe(0);
      redis.resume();
      await allFree(stored);
      expect((await stored.read(minted.id)).status).toBe('issued');
      await hangUp(await win(stored, minted));
    } finally {
      redis.resume();
      await stored.stop();
      await redis.stop();
    }
  });
});

describe('a client asks for another offer', () => {
  const directions = (sdp: string) => readOffer(sdp).sections.map(({ kind, direction }) => `${kind} ${direction}`);
  const ufrag = (sdp: string) =>
    values(readOffer(sdp).sections[0]!, 'ice-ufrag')[0] ?? values(readOffer(sdp), 'ice-ufrag')[0];

  it('with other kinds and directions', async () => {
    const identity = newIdentity();
    const { socket } = await started(server);
    const first = await answerNext(socket, identity);
    expect(directions(first)).toEqual(['audio sendrecv', 'video sendrecv']);
    socket.send({ type: 'media', media: { video: 'none' } });
    const second = await answerNext(socket, identity);
    expect(directions(second)).toEqual(['audio sendrecv', 'video inactive']);
    expect(ufrag(second)).toBe(ufrag(first));
    socket.send({ type: 'media', media: { audio: 'sendonly', video: 'recvonly' } });
    const third = await answerNext(socket, identity);
    expect(directions(third)).toEqual(['audio recvonly', 'video sendonly']);
    await hangUp(socket);
  });

  it('with a kind that it had left out at the start', async () => {
    const minted = await server.mint('ep_echo');
    const start = { endpoint_id: 'ep_echo', token: minted.token, media: { video: 'none' } } as const;
    const socket = await startCall(server.wsUrl, start);
    const identity = newIdentity();
    expect(directions(await answerNext(socket, identity))).toEqual(['audio sendrecv']);
    socket.send({ type: 'media', media: { video: 'sendonly' } });
    expect(directions(await answerNext(socket, identity))).toEqual(['audio sendrecv', 'video recvonly']);
    await hangUp(socket);
  });

  it('before it has the first one, and the wish is not lost', async () => {
    const { socket } = await started(server);
    socket.send({ type: 'media', media: { video: 'none' } });
    const identity = newIdentity();
    const first = await answerNext(socket, identity);
    if (directions(first).includes('video sendrecv')) {
      expect(directions(await answerNext(socket, identity))).toEqual(['audio sendrecv', 'video inactive']);
    }
    await hangUp(socket);
  });

  it('many times while one waits, and gets one', async () => {
    const identity = newIdentity();
    const { socket } = await started(server);
    const first = await socket.expect('offer');
    for (const video of ['none', 'sendonly', 'recvonly'] as const) socket.send({ type: 'media', media: { video } });
    socket.send({ type: 'restart_ice' });
    socket.send({ type: 'answer', offer_id: first.offer_id, sdp: writeAnswer(first.sdp, { identity }) });
    const second = await answerNext(socket, identity);
    expect(directions(second)).toEqual(['audio sendrecv', 'video sendonly']);
    expect(ufrag(second)).not.toBe(ufrag(first.sdp));
    await hangUp(socket);
    expect(socket.messages.filter(({ type }) => type === 'offer')).toHaveLength(2);
  });

  it('of a kind that the endpoint does not have, and gets none of it', async () => {
    const { socket } = await started(server, {}, 'ep_audio');
    const identity = newIdentity();
    expect(directions(await answerNext(socket, identity))).toEqual(['audio sendrecv']);
    socket.send({ type: 'media', media: { video: 'sendrecv', data: 'sendrecv' } });
    expect(directions(await answerNext(socket, identity))).toEqual(['audio sendrecv']);
    await hangUp(socket);
  });

  it('with new ICE credentials, and once while that is unanswered', async () => {
    const { socket, client } = await live(server);
    const first = socket.messages[0];
    socket.send({ type: 'restart_ice' });
    const second = await socket.skipTo('offer');
    socket.send({ type: 'restart_ice' });
    socket.send({ type: 'restart_ice' });
    socket.send({ type: 'answer', offer_id: second.offer_id, sdp: await client.answer(second.sdp) });
    socket.send({ type: 'media', media: { video: 'none' } });
    const third = await socket.skipTo('offer');
    expect(first?.type === 'offer' && ufrag(first.sdp)).not.toBe(ufrag(second.sdp));
    expect(ufrag(third.sdp)).toBe(ufrag(second.sdp));
    await hangUp(socket);
    expect(socket.messages.filter(({ type }) => type === 'offer')).toHaveLength(3);
    await client.close();
  });
});

it('keeps the ticket and the end the same through all offers, and the end in one clock', async () => {
  const identity = newIdentity();
  const { minted, socket } = await started(server, { max_duration_seconds: 60 });
  const { session: first, ...offer } = await socket.expect('offer');
  socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: writeAnswer(offer.sdp, { identity }) });
  socket.send({ type: 'restart_ice' });
  const { session: second } = await socket.expect('offer');
  expect(first).toMatchObject({ id: expect.stringMatching(/^sess_/), endpoint_id: 'ep_echo' });
  expect(first.ticket).toMatch(/^n_[a-z2-7]{8}\.[\w-]{43}$/);
  expect(second).toMatchObject({ id: first.id, ticket: first.ticket, expires_at: first.expires_at });
  expect(second.expires_in_ms).toBeLessThanOrEqual(first.expires_in_ms);
  expect(first.expires_in_ms).toBeLessThanOrEqual(60_000);
  expect((await server.read(minted.id)).session?.id).toBe(first.id);
  await hangUp(socket);
});

it('holds nothing in the end', async () => {
  await allFree(server);
  await allFree(hasty);
});

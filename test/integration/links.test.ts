import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SessionInfo } from '../../src/protocol/messages.ts';
import { Participant } from '../support/participant.ts';
import { TestRedis } from '../support/redis.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { hangUp } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import { resumeCall, startCall } from '../support/ws-client.ts';

let redis: TestRedis;
let a: TestServer;
let b: TestServer;
beforeAll(async () => {
  redis = await TestRedis.start();
  const config = { media: { max_calls_per_worker: 4 } };
  a = await TestServer.start({ redisUrl: redis.url, config });
  b = await TestServer.start({ redisUrl: redis.url, config, like: a });
  await linked(a, 1);
});
afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  expect((await redis.cli('KEYS', 'callgate:{endpoint:*')).trim()).toBe('');
  await redis.stop();
});

const linked = (server: TestServer, links: number) =>
  vi.waitFor(
    async () => {
      const metrics = await (await fetch(server.running.metricsUrl)).text();
      expect(metrics).toMatch(new RegExp(`^callgate_links ${links}$`, 'm'));
    },
    { timeout: 10_000, interval: 50 },
  );

const call = async (on: TestServer, { endpoint = 'ep_echo', sends = true } = {}) => {
  const minted = await on.mint(endpoint);
  const socket = await startCall(on.wsUrl, { endpoint_id: endpoint, token: minted.token, fresh: true });
  const { session, offer_id, sdp } = await socket.expect('offer');
  const client = await RtcClient.answer(sdp);
  socket.send({ type: 'answer', offer_id, sdp: client.answerSdp });
  await socket.skipTo('live');
  if (sends) client.startSending();
  return { minted, socket, session, client };
};
const resume = ({ id, ticket }: SessionInfo, on: TestServer, early = false) =>
  resumeCall(on.wsUrl, { session_id: id, ticket, fresh: true }, { early });

describe('two processes on one Redis, nothing else configured', () => {
  it.each([
    ['in a frame', false],
    ['with the upgrade', true],
  ])('give a client its session back at either, with the resume %s, and its media goes on', async (_, early) => {
    const { minted, socket, session, client } = await call(a);
    await expect.poll(() => client.received.audio).toBeGreaterThan(0);
    await socket.cut();
    const there = await resume(session, b, early);
    const resumed = await there.expect('resumed');
    await there.expect('live');
    expect(resumed.session).toMatchObject({ id: session.id, expires_at: session.expires_at });
    const { audio } = client.received;
    await expect.poll(() => client.received.audio).toBeGreaterThan(audio + 10);
    // The way leads there and back.
    there.send({ type: 'restart_ice' });
    const offer = await there.expect('offer');
    there.send({ type: 'answer', offer_id: offer.offer_id, sdp: await client.answer(offer.sdp) });
    await there.cut();
    const back = await resume(resumed.session, a);
    await back.expect('resumed');
    await hangUp(back);
    expect((await a.read(minted.id)).session?.end_reason).toBe('completed');
    await client.close();
  });

  it('tell a client at the one that its session was displaced at the other', async () => {
    const { socket, session, client } = await call(a);
    const there = await resume(session, b);
    const resumed = await there.expect('resumed');
    expect(await socket.skipTo('error')).toMatchObject({ code: 'session_gone' });
    expect((await socket.closed).code).toBe(4410);
    const again = await resume(resumed.session, a);
    expect(await there.skipTo('error')).toMatchObject({ code: 'session_gone' });
    expect((await there.closed).code).toBe(4410);
    await again.expect('resumed');
    await hangUp(again);
    await client.close();
  });

  it('end a session at the other end of the link for a ticket that is older than the one before', async () => {
    const { minted, socket, session, client } = await call(a);
    await socket.cut();
    const first = await (await resume(session, b)).expect('resumed');
    const there = await resume(first.session, b);
    const second = await there.expect('resumed');
    await (await resume(second.session, b)).expect('resumed');
    const thief = await resume(session, b);
    expect(await thief.skipTo('error')).toMatchObject({ code: 'session_gone' });
    await expect.poll(async () => (await a.read(minted.id)).session?.end_reason).toBe('ticket_reused');
    await client.close();
  });

  it('bring the callers of a room together, at whichever they come', async () => {
    const one = await Participant.join(a, 'ep_room');
    const two = await Participant.join(b, 'ep_room');
    one.client.startSending();
    two.client.startSending();
    await expect.poll(() => [one.client.received.audio > 0, two.client.received.audio > 0]).toEqual([true, true]);
    await Promise.all([one.leave(), two.leave()]);
    // The room is free for whoever comes first.
    const three = await Participant.join(b, 'ep_room');
    await three.leave();
  });

  it('help each other out when one is full', async () => {
    const calls = [];
    for (let i = 0; i < 6; i++) calls.push(await call(a, { sends: false }));
    expect(b.running.held().calls).toBe(2);
    for (const { socket, client } of calls) {
      await hangUp(socket);
      await client.close();
    }
    await expect.poll(() => [a, b].map(({ running }) => running.held().calls)).toEqual([0, 0]);
  });

  it('know which certificate a client has, soon after its first answer', async () => {
    const { minted, socket, client } = await call(a);
    const [, family, random] = minted.id.split('_');
    const resume = () => redis.cli('HGET', `callgate:{${family}}:${random}`, 'resume');
    await expect.poll(resume, { timeout: 5000 }).toContain('"fingerprint":"sha-256 ');
    await hangUp(socket);
    await client.close();
  });

  it('refuse a token that was used at the other one', async () => {
    const { minted, socket, client } = await call(a);
    const late = await startCall(b.wsUrl, { endpoint_id: 'ep_echo', token: minted.token });
    expect(await late.expect('error')).toMatchObject({ code: 'token_used' });
    await hangUp(socket);
    await client.close();
  });
});

it('a gateway that stops sends the clients whose sessions are elsewhere there, and their calls go on', async () => {
  const c = await TestServer.start({ redisUrl: redis.url, like: a });
  await linked(c, 2);
  const { socket, session, client } = await call(a);
  await socket.cut();
  const there = await resume(session, c);
  const resumed = await there.expect('resumed');
  const stopped = c.stop();
  expect((await there.closed).code).toBe(1012);
  await stopped;
  const back = await resume(resumed.session, a);
  await back.expect('resumed');
  await back.expect('live');
  await hangUp(back);
  await client.close();
});

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionInfo } from '../../src/protocol/messages.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { newSessionId } from '../../src/tokens/session-id.ts';
import { Participant } from '../support/participant.ts';
import { TestRedis } from '../support/redis.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { allFree, hangUp, refusalOf, WAYS } from '../support/scenario.ts';
import { type MintedToken, TestServer } from '../support/server.ts';
import { resumeCall, type SocketOptions, startCall, type TestSocket } from '../support/ws-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server?.stop());

const GONE = { code: 'session_gone', retryable: false, close: 4410 };

/** A call with its first offer read. */
const begin = async (endpoint = 'ep_echo', on = server) => start(await on.mint(endpoint), on);

const start = async (minted: MintedToken, on = server) => {
  const endpoint = minted.endpoint_id;
  const socket = await startCall(on.wsUrl, { endpoint_id: endpoint, token: minted.token, fresh: true });
  const { session, offer_id, sdp } = await socket.expect('offer');
  return { minted, socket, session, offer_id, sdp };
};

/** A call whose media is connected. */
const live = async (endpoint = 'ep_echo', on = server) => {
  const call = await begin(endpoint, on);
  const client = await RtcClient.answer(call.sdp);
  call.socket.send({ type: 'answer', offer_id: call.offer_id, sdp: client.answerSdp });
  await call.socket.skipTo('live');
  return { ...call, client };
};

type Told = Pick<SessionInfo, 'id' | 'ticket'>;
const resume = (
  { id, ticket }: Told,
  { on = server, ...options }: SocketOptions & { early?: boolean; on?: TestServer } = {},
) => resumeCall(on.wsUrl, { session_id: id, ticket, fresh: true }, options);
/** Comes back, and tells the session with its next ticket. */
const back = async (session: Told, options?: Parameters<typeof resume>[1]) => {
  const socket = await resume(session, options);
  return { socket, session: (await socket.expect('resumed')).session };
};
const types = ({ messages }: TestSocket) => messages.map(({ type }) => type);
const reasonOf = async ({ id }: { id: string }, on = server) => (await on.read(id)).session?.end_reason ?? undefined;

describe('a client that lost its socket', () => {
  it.each(WAYS)('comes back to its live call with %s, and its media has gone on', async (_, early) => {
    const { socket, session, client, minted } = await live();
    client.startSending();
    await expect.poll(() => client.received.audio).toBeGreaterThan(0);
    await socket.cut();
    const { audio } = client.received;
    await expect.poll(() => client.received.audio).toBeGreaterThan(audio + 10);
    const resumed = await back(session, { early });
    await resumed.socket.expect('live');
    expect(resumed.session).toMatchObject({ id: session.id, expires_at: session.expires_at, grace_ms: 30_000 });
    expect(resumed.session.ticket).not.toBe(session.ticket);
    expect(resumed.session.expires_in_ms).toBeLessThan(session.expires_in_ms);
    await hangUp(resumed.socket);
    expect(await reasonOf(minted)).toBe('completed');
    await client.close();
  });

  it('gets the offer that it did not answer again, as it was', async () => {
    const { socket, session, offer_id, sdp } = await begin();
    await socket.cut();
    const { socket: again } = await back(session);
    const offer = await again.expect('offer');
    expect(offer).toMatchObject({ offer_id, sdp });
    const client = await RtcClient.answer(offer.sdp);
    again.send({ type: 'answer', offer_id, sdp: client.answerSdp });
    await again.expect('live');
    await hangUp(again);
    await client.close();
  });

  it('does not get an offer again that it answered', async () => {
    const { socket, session, client } = await live();
    await socket.cut();
    const { socket: again } = await back(session);
    await again.expect('live');
    await hangUp(again);
    expect(types(again)).toEqual(['resumed', 'live', 'ended']);
    await client.close();
  });

  it('is told who is on which section of a room, and the others see no one leave', async () => {
    const one = await Participant.join(server, 'ep_room');
    const two = await Participant.join(server, 'ep_room');
    two.client.startSending();
    await expect.poll(() => one.tracks.length).toBe(2);
    await expect.poll(() => one.client.received.video).toBeGreaterThan(0);
    const { offers } = two;
    const { session } = await one.socket.messages.find((message) => message.type === 'offer')!;
    await one.socket.cut();
    const again = await resume(session);
    await again.expect('resumed');
    expect(await again.expect('tracks')).toEqual({ type: 'tracks', tracks: one.tracks });
    await again.skipTo('live');
    expect(two.offers).toBe(offers);
    await hangUp(again);
    await one.client.close();
    await two.leave();
  });

  it('comes back as client_lost does not happen before its grace is over, and not after it', async () => {
    const hasty = await TestServer.start({ config: { session: { grace_ms: 400 } } });
    try {
      const { socket, session, minted } = await begin('ep_echo', hasty);
      await socket.cut();
      await sleep(100);
      const resumed = await back(session, { on: hasty });
      await resumed.socket.cut();
      await expect.poll(() => reasonOf(minted, hasty)).toBe('client_lost');
      expect(await refusalOf(await resume(resumed.session, { on: hasty }))).toEqual(GONE);
      await allFree(hasty);
    } finally {
      await hasty.stop();
    }
  });

  it('hangs up with a close frame 1000 or 1001, and is lost with any other', async () => {
    for (const code of [1000, 1001]) {
      const { socket, minted } = await begin();
      await socket.close(code);
      await expect.poll(() => reasonOf(minted)).toBe('completed');
    }
    for (const code of [1005, 3000]) {
      const { socket, session, minted } = await begin();
      await (code === 1005 ? socket.closeWithoutCode() : socket.close(code));
      expect(await reasonOf(minted)).toBeUndefined();
      await hangUp((await back(session)).socket);
    }
  });
});

describe('a ticket', () => {
  it('is shown by the node that gave it, and is another one after each resume', async () => {
    const { session, socket } = await begin();
    const seen = new Set([session.ticket]);
    let newest = session;
    await socket.cut();
    for (let i = 0; i < 3; i++) {
      const again = await back(newest);
      newest = again.session;
      seen.add(newest.ticket);
      await again.socket.cut();
    }
    expect(seen.size).toBe(4);
    for (const ticket of seen) expect(ticket).toMatch(/^n_[a-z2-7]{8}\.[\w-]{43}$/);
    expect(new Set([...seen].map((ticket) => ticket.split('.')[0])).size).toBe(1);
    await hangUp((await back(newest)).socket);
  });

  it('that was used last is answered with the same successor until that one is used', async () => {
    const { session } = await begin();
    const first = await back(session);
    const second = await back(session);
    const third = await back(session);
    expect([second.session.ticket, third.session.ticket]).toEqual([first.session.ticket, first.session.ticket]);
    expect((await first.socket.closing()).code).toBe(4410);
    expect((await second.socket.closing()).code).toBe(4410);
    await hangUp(third.socket);
  });

  it('lets the newest socket win, although the one before is not known to be dead', async () => {
    const { session, socket, minted } = await begin();
    const again = await back(session);
    expect(await socket.expect('error')).toMatchObject({ code: 'session_gone', retryable: false });
    expect((await socket.closing()).code).toBe(4410);
    await again.socket.expect('offer');
    expect(await reasonOf(minted)).toBeUndefined();
    await hangUp(again.socket);
  });

  it('older than the one before ends the session with ticket_reused', async () => {
    const { session, minted } = await begin();
    const second = await back(session);
    const third = await back(second.session);
    expect(await refusalOf(await resume(session))).toEqual(GONE);
    expect(await third.socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'ticket_reused' });
    expect(await reasonOf(minted)).toBe('ticket_reused');
    expect(await refusalOf(await resume(third.session))).toEqual(GONE);
  });

  it('that is a guess, or of another session, ends nothing', async () => {
    const one = await begin();
    const two = await begin();
    const guess = `${one.session.ticket.split('.')[0]}.${'A'.repeat(43)}`;
    for (const ticket of [guess, two.session.ticket, 'x', one.session.ticket.slice(0, -1)])
      expect(await refusalOf(await resume({ id: one.session.id, ticket }))).toEqual(GONE);
    const nobody = newSessionId(newTokenId());
    expect(await refusalOf(await resume({ id: nobody, ticket: one.session.ticket }))).toEqual(GONE);
    await hangUp(one.socket);
    await hangUp(two.socket);
  });

  it('is gone once its session has ended', async () => {
    const { session, socket } = await begin();
    await hangUp(socket);
    expect(await refusalOf(await resume(session))).toEqual(GONE);
  });

  it('is taken from the pages that the endpoint allows alone, and is none the worse for a refusal', async () => {
    const minted = await server.mint('ep_page');
    const origin = 'https://app.example';
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_page', token: minted.token }, { origin });
    const { session } = await socket.expect('offer');
    const other = await resume(session, { origin: 'https://other.example' });
    expect(await refusalOf(other)).toEqual({ code: 'origin_denied', retryable: true, close: 4403 });
    await hangUp((await back(session, { origin })).socket);
  });
});

describe('past the limits of an address', () => {
  const limits = { limit_loopback: true, sockets_per_address: 2, failed_presentations_per_minute: 2 };

  it.each(WAYS)('a client may still come back with %s, and nobody else may come in', async (_, early) => {
    const full = await TestServer.start({ config: { admission: limits } });
    try {
      const [first, second, { token }] = [
        await full.mint('ep_echo'),
        await full.mint('ep_echo'),
        await full.mint('ep_echo'),
      ];
      const one = await start(first, full);
      const two = await start(second, full);
      const limited = { code: 'rate_limited', retryable: true, close: 4429 };
      const third = { endpoint_id: 'ep_echo', token };
      expect(await refusalOf(await startCall(full.wsUrl, third, { early }))).toEqual(limited);
      const again = await back(one.session, { early, on: full });
      expect((await one.socket.closing()).code).toBe(4410);
      expect(await refusalOf(await startCall(full.wsUrl, third, { early }))).toEqual(limited);
      await hangUp(again.socket);
      await hangUp(two.socket);
      await allFree(full);
    } finally {
      await full.stop();
    }
  });

  it('guesses are failed presentations, and a good ticket is taken past their limit', async () => {
    const strict = await TestServer.start({ config: { admission: { ...limits, sockets_per_address: 100 } } });
    try {
      const { session } = await begin('ep_echo', strict);
      const guess = { ...session, ticket: `n_aaaaaaaa.${'A'.repeat(43)}` };
      for (let i = 0; i < 2; i++) expect(await refusalOf(await resume(guess, { on: strict }))).toEqual(GONE);
      expect((await refusalOf(await resume(guess, { on: strict }))).code).toBe('rate_limited');
      await hangUp((await back(session, { on: strict })).socket);
    } finally {
      await strict.stop();
    }
  });
});

it('a session of a Redis that is away is given back, and its tickets are stored when it returns', async () => {
  const redis = await TestRedis.start();
  const on = await TestServer.start({ redisUrl: redis.url, config: { session: { lease_renew_ms: 500 } } });
  try {
    const { session, socket, minted } = await begin('ep_echo', on);
    await socket.cut();
    redis.pause();
    const first = await back(session, { on });
    const second = await back(first.session, { on });
    redis.resume();
    const hashes = async () =>
      (await redis.cli('HGET', `callgate:{${minted.id.split('_')[1]}}:${minted.id.split('_')[2]}`, 'tickets')) ?? '';
    await expect.poll(async () => (await hashes()).trim().split(',').length, { timeout: 10_000 }).toBe(3);
    await hangUp(second.socket);
  } finally {
    redis.resume();
    await on.stop();
    await redis.stop();
  }
});

it('holds nothing in the end', () => allFree(server));

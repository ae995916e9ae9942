import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SessionInfo } from '../../src/protocol/messages.ts';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { hangUp, refusalOf } from '../support/scenario.ts';
import type { MintedToken } from '../support/server.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { resumeCall, startCall, type TestSocket } from '../support/ws-client.ts';

const SETTINGS = { session: { lease_renew_ms: 500 } };
const GONE = { code: 'session_gone', retryable: false, close: 4410 };

let redis: TestRedis;
let deployment: Deployment;
/** Where sessions begin; killed or frozen by the tests, and started anew. */
let owner: ServerProcess;
let isUp = true;
let other: ServerProcess;
beforeAll(async () => {
  redis = await TestRedis.start();
  deployment = await Deployment.create({ redisUrl: redis.url, settings: SETTINGS });
  [owner, other] = await Promise.all([
    deployment.server({ LOG_LEVEL: 'info' }),
    deployment.server({ LOG_LEVEL: 'info' }),
  ]);
}, 120_000);
afterAll(async () => {
  await deployment?.stop();
  await redis?.stop();
});

interface Call {
  minted: MintedToken;
  socket: TestSocket;
  session: SessionInfo;
  client: RtcClient;
}

const live = async ({ fresh = true } = {}): Promise<Call> => {
  const minted = await deployment.mint(other, 'ep_echo');
  const start = { endpoint_id: 'ep_echo', token: minted.token, fresh };
  const socket = await startCall(owner.wsUrl, start, { timeoutMs: 20_000 });
  const { session, offer_id, sdp } = await socket.expect('offer');
  const client = await RtcClient.answer(sdp);
  socket.send({ type: 'answer', offer_id, sdp: client.answerSdp });
  await socket.expect('live');
  return { minted, socket, session, client };
};

type Told = Pick<SessionInfo, 'id' | 'ticket'>;
const resume = ({ id, ticket }: Told, { at = other, fresh = true } = {}) =>
  resumeCall(at.wsUrl, { session_id: id, ticket, fresh }, { timeoutMs: 20_000 });

/** Goes on through `unavailable`, as a client does, until it is given its session or refused. */
const insist = async (session: Told, options?: Parameters<typeof resume>[1]): Promise<TestSocket> => {
  for (;;) {
    const socket = await resume(session, options);
    const first = await socket.next();
    if (first.type !== 'error' || first.code !== 'unavailable') return socket;
    await socket.closing();
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
};

const sessionOf = ({ messages: [first] }: TestSocket): SessionInfo => {
  if (first?.type !== 'resumed') throw new Error(`not resumed: ${JSON.stringify(first)}`);
  return first.session;
};
const recordOf = ({ minted }: Call) => deployment.read(other, minted.id);
/** What became of a session, by the audit of all processes; tries that were refused left out. */
const auditOf = async ({ id }: Told) => {
  const stream = await redis.cli('XRANGE', 'callgate:audit', '-', '+');
  return stream
    .split(/\n(?=\d+-\d+)/)
    .filter((entry) => entry.includes(id) && !entry.includes('refusal'))
    .map((entry) => {
      const [, ...fields] = entry.split('\n').map((line) => line.trim());
      return Object.fromEntries(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]]] : [])));
    });
};
const killOwner = async () => {
  isUp = false;
  process.kill(owner.pid, 'SIGKILL');
  await owner.exited;
};
beforeEach(async () => {
  if (!isUp) owner = await deployment.server({ LOG_LEVEL: 'info' });
  isUp = true;
}, 60_000);

describe('while its process lives, a session', () => {
  it('is not given away, and goes on through the link', async () => {
    const call = await live();
    expect(await refusalOf(await resume({ ...call.session, ticket: `n_aaaaaaaa.${'A'.repeat(43)}` }))).toEqual(GONE);
    const there = await insist(call.session);
    expect((await call.socket.closing()).code).toBe(4410);
    expect(await recordOf(call)).toMatchObject({ status: 'active' });
    await hangUp(there);
    await call.client.close();
  });
});

describe('a session whose process was killed', () => {
  it('goes on at another one, the same in all but its connection', async () => {
    const call = await live();
    const stranger = await live({ fresh: false });
    await killOwner();
    const socket = await insist(call.session);
    const adopted = sessionOf(socket);
    expect(adopted).toMatchObject({ id: call.session.id, expires_at: call.session.expires_at });
    const offer = await socket.expect('offer');
    expect(offer).toMatchObject({ fresh: true, offer_id: expect.stringMatching(/^2\./) });
    const client = await RtcClient.answer(offer.sdp);
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: client.answerSdp });
    await socket.expect('live');
    client.startSending();
    await expect.poll(() => client.received.audio).toBeGreaterThan(5);
    // Whoever cannot follow a new connection has nothing to come back to.
    expect(await refusalOf(await insist(stranger.session, { fresh: false }))).toEqual(GONE);
    await hangUp(socket);
    expect((await recordOf(call)).session?.end_reason).toBe('completed');
    const told = await auditOf(call.session);
    expect(told.map(({ event, epoch, reason }) => [event, epoch, reason])).toEqual([
      ['burn', '1', undefined],
      ['adopt', '2', undefined],
      ['end', '2', 'completed'],
    ]);
    expect(told[1]?.node).toBe(adopted.ticket.split('.')[0]);
    await Promise.all([call, stranger, { client }].map((each) => each.client.close()));
  }, 60_000);

  it('is given for the ticket before, too, and ends over an older one', async () => {
    const call = await live();
    const again = await resume(call.session, { at: owner });
    const second = (await again.expect('resumed')).session;
    const third = await resume(second, { at: owner });
    await third.expect('resumed');
    const old = await live();
    await (await resume(old.session, { at: owner })).expect('resumed');
    await killOwner();
    // The successor that was told is not known to the one who adopts.
    const socket = await insist(second);
    expect(sessionOf(socket).id).toBe(call.session.id);
    await hangUp(socket);
    const another = await insist(old.session);
    await hangUp(another);
    await Promise.all([call.client.close(), old.client.close()]);
  }, 60_000);

  it('ends with ticket_reused where the ticket shown is older than the one before', async () => {
    const call = await live();
    const second = (await (await resume(call.session, { at: owner })).expect('resumed')).session;
    await (await resume(second, { at: owner })).expect('resumed');
    await killOwner();
    expect(await refusalOf(await insist(call.session))).toEqual(GONE);
    expect((await recordOf(call)).session?.end_reason).toBe('ticket_reused');
    expect((await auditOf(call.session)).at(-1)).toMatchObject({ event: 'end', reason: 'ticket_reused' });
    await call.client.close();
  }, 60_000);

  it('ends with revoked where its token was revoked meanwhile', async () => {
    const call = await live();
    await killOwner();
    await deployment.request(other.url, 'DELETE', `/${call.minted.id}`);
    const socket = await insist(call.session);
    expect((await socket.closing()).code).toBe(1000);
    expect(socket.messages.at(-1)).toEqual({ type: 'ended', reason: 'revoked' });
    await call.client.close();
  }, 60_000);
});

it('a process that was frozen finds its session moved, and ends nothing', async () => {
  const call = await live();
  const client = await RtcClient.create();
  process.kill(owner.pid, 'SIGSTOP');
  const socket = await insist(call.session);
  process.kill(owner.pid, 'SIGCONT');
  expect((await call.socket.closing()).code).toBe(1012);
  expect(call.socket.messages.map(({ type }) => type)).toEqual(['offer', 'live']);
  const { offer_id, sdp } = await socket.expect('offer');
  socket.send({ type: 'answer', offer_id, sdp: await client.answer(sdp) });
  await socket.expect('live');
  expect(await recordOf(call)).toMatchObject({ status: 'active', session: { id: call.session.id } });
  await hangUp(socket);
  expect((await auditOf(call.session)).map(({ event }) => event)).toEqual(['burn', 'adopt', 'end']);
  const places = await redis.cli('ZRANGE', 'callgate:{endpoint:ep_echo}:places', '0', '-1');
  expect(places).not.toContain(call.session.id);
  await Promise.all([call.client.close(), client.close()]);
}, 60_000);

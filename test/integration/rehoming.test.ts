import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newIdentity } from '../../src/peer/sdp/answer.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { Participant } from '../support/participant.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { allFree, answerNext, hangUp } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import { resumeCall, startCall, type TestSocket } from '../support/ws-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server?.stop());

type Offer = Extract<ServerMessage, { type: 'offer' }>;

/** Only media workers are children of this process. */
const killWorkers = () => {
  const children = execFileSync('pgrep', ['-P', String(process.pid), '-f', 'mediasoup-worker'], { encoding: 'utf8' });
  for (const pid of children.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
};

const ready = () =>
  expect.poll(async () => (await fetch(`${server.running.url}/readyz`)).status, { timeout: 20_000 }).toBe(200);

const live = async ({ endpoint = 'ep_echo', fresh = true } = {}) => {
  await ready();
  const minted = await server.mint(endpoint);
  const socket = await startCall(
    server.wsUrl,
    { endpoint_id: endpoint, token: minted.token, fresh },
    { timeoutMs: 20_000 },
  );
  const offer = await socket.expect('offer');
  const client = await answer(socket, offer);
  await socket.skipTo('live');
  return { minted, socket, offer, client };
};

/** Answers on a new connection, with the one certificate that all clients of this process have. */
const answer = async (socket: TestSocket, { offer_id, sdp }: Offer): Promise<RtcClient> => {
  const client = await RtcClient.answer(sdp);
  socket.send({ type: 'answer', offer_id, sdp: client.answerSdp });
  return client;
};
const reasonOf = async ({ id }: { id: string }) => (await server.read(id)).session?.end_reason ?? undefined;

it('a call whose worker died goes on, on a new connection of the same session', async () => {
  const { socket, offer, client, minted } = await live();
  killWorkers();
  const fresh = await socket.expect('offer');
  expect(fresh).toMatchObject({ fresh: true, session: { id: offer.session.id, expires_at: offer.session.expires_at } });
  expect(fresh.offer_id).not.toBe(offer.offer_id);
  // A late answer to the old connection does not fit the new one.
  socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: client.answerSdp });
  const again = await answer(socket, fresh);
  await socket.expect('live');
  again.startSending();
  await expect.poll(() => again.received.audio).toBeGreaterThan(5);
  expect(await reasonOf(minted)).toBeUndefined();
  await hangUp(socket);
  await Promise.all([client.close(), again.close()]);
});

it('a client that did not say fresh hears worker_lost', async () => {
  const { socket, client, minted } = await live({ fresh: false });
  killWorkers();
  expect(await socket.expect('ended')).toEqual({ type: 'ended', reason: 'worker_lost' });
  expect(await reasonOf(minted)).toBe('worker_lost');
  await client.close();
});

it('another certificate on the new connection is negotiation_failed', async () => {
  const { socket, client } = await live();
  killWorkers();
  await answerNext(socket, newIdentity());
  expect(await socket.expect('error')).toMatchObject({ code: 'negotiation_failed' });
  expect((await socket.closing()).code).toBe(4422);
  await client.close();
});

it('a client that was away meanwhile finds the fresh offer when it is back', async () => {
  const { socket, offer, client } = await live();
  await socket.cut();
  killWorkers();
  const { id, ticket } = offer.session;
  const back = await resumeCall(server.wsUrl, { session_id: id, ticket, fresh: true }, { timeoutMs: 20_000 });
  await back.expect('resumed');
  const again = await answer(back, await back.expect('offer'));
  await back.expect('live');
  await hangUp(back);
  await Promise.all([client.close(), again.close()]);
});

it('a room comes back together, with the same participants', async () => {
  await ready();
  const people: Participant[] = [];
  for (let i = 0; i < 3; i++) people.push(await Participant.join(server, 'ep_room'));
  for (const { client } of people) client.startSending();
  const complete = () =>
    Promise.all(people.map((one) => expect.poll(() => one.others.length, { timeout: 20_000 }).toBe(2)));
  await complete();
  const before = people.map(({ others }) => [...others].sort());
  killWorkers();
  await Promise.all(people.map((one) => expect.poll(() => one.connections, { timeout: 20_000 }).toBe(2)));
  await complete();
  expect(people.map(({ others }) => [...others].sort())).toEqual(before);
  await Promise.all(people.map((one) => one.leave()));
});

it('a hundred calls are offered a new connection soon after the only worker died', async () => {
  await ready();
  const sockets: TestSocket[] = [];
  for (let i = 0; i < 100; i++) {
    const { token } = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token, fresh: true }, { timeoutMs: 20_000 });
    await answerNext(socket, newIdentity());
    sockets.push(socket);
  }
  const killed = performance.now();
  killWorkers();
  const took = await Promise.all(
    sockets.map(async (socket) => {
      expect(await socket.skipTo('offer')).toMatchObject({ fresh: true });
      return performance.now() - killed;
    }),
  );
  const sorted = took.sort((a, b) => a - b);
  console.info(
    `offers after the kill: p50 ${sorted[49]?.toFixed()} ms, p95 ${sorted[94]?.toFixed()} ms, last ${sorted[99]?.toFixed()} ms`,
  );
  await Promise.all(sockets.map(hangUp));
}, 60_000);

it('holds nothing in the end', () => allFree(server));

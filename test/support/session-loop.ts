/**
 * Run as a process of its own with --expose-gc: opens and ends sessions on a server in this process, in every way that
 * a session ends, and prints what was left after the warm-up and after the rest as one line of JSON.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { observer } from 'mediasoup';
import type { Worker } from 'mediasoup/types';
import { writeAnswer } from '../../src/peer/sdp/answer.ts';
import { TestRedis } from './redis.ts';
import { RtcClient } from './rtc-client.ts';
import { type MintedToken, TestServer } from './server.ts';
import { startCall, type TestSocket } from './ws-client.ts';

const WARM_UP = 200;
const SESSIONS = 1000;
const AT_ONCE = 40;

/** What is there at one moment. */
export interface Snapshot {
  heapUsed: number;
  workerRss: number;
  held: { sessions: number; sockets: number; calls: number };
  media: { workers: number; routers: number; transports: number; producers: number; consumers: number };
  /** How many active resources of each kind keep this process alive. */
  resources: Record<string, number>;
  listeners: number;
  places: number;
}

export interface LoopReport {
  warm: Snapshot;
  done: Snapshot;
  /** How many sessions ended for each reason, by what the client was told; `none` was not told. */
  reasons: Record<string, number>;
}

const media = { workers: 0, routers: 0, transports: 0, producers: 0, consumers: 0 };
const pids: number[] = [];
const emitters: { eventNames(): (string | symbol)[]; listenerCount(name: string): number }[] = [process];

const count = (
  kind: keyof typeof media,
  closing: { observer: { once(event: 'close', listener: () => void): unknown } },
) => {
  media[kind]++;
  closing.observer.once('close', () => media[kind]--);
};

observer.on('newworker', (worker: Worker) => {
  count('workers', worker);
  pids.push(worker.pid);
  emitters.push(worker as never);
  worker.observer.on('newwebrtcserver', (server) => emitters.push(server as never));
  worker.observer.on('newrouter', (router) => {
    count('routers', router);
    if (media.routers === 1) emitters.push(router as never);
    router.observer.on('newtransport', (transport) => {
      count('transports', transport);
      transport.observer.on('newproducer', (producer) => count('producers', producer));
      transport.observer.on('newconsumer', (consumer) => count('consumers', consumer));
    });
  });
});

const redis = await TestRedis.start();
const server = await TestServer.start({
  redisUrl: redis.url,
  config: { session: { answer_timeout_ms: 300, connect_timeout_ms: 1500, lease_renew_ms: 100 } },
});
const reasons: Record<string, number> = {};

const tokensOf = async (number: number, endpoint: string, max_duration_seconds: number): Promise<MintedToken[]> => {
  const tokens: MintedToken[] = [];
  for (let index = 0; index < number; index++) {
    tokens.push(await server.mint(endpoint, { ttl_seconds: 600, max_duration_seconds }));
  }
  return tokens;
};

const answer = async (socket: TestSocket, change = (sdp: string) => sdp): Promise<void> => {
  const offer = await socket.expect('offer');
  socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: change(writeAnswer(offer.sdp)) });
};

/** Every way to end, by who ends it; each leaves the end to be told. */
const WAYS: ((socket: TestSocket) => Promise<unknown>)[] = [
  async (socket) => {
    await answer(socket);
    socket.send({ type: 'hangup' });
  },
  async (socket) => {
    await socket.expect('offer');
    socket.send({ type: 'hangup' });
  },
  async (socket) => {
    await answer(socket);
    await socket.cut();
  },
  async (socket) => {
    await socket.expect('offer');
    await socket.close();
  },
  // Expires: the connection deadline is longer than the session may last.
  (socket) => answer(socket),
  (socket) => answer(socket, (sdp) => sdp.replaceAll('a=mid:', 'a=mid:x')),
  (socket) => answer(socket, () => 'v=0'),
  // Runs into the answer deadline.
  (socket) => socket.expect('offer'),
  // Cut in the middle of the start.
  (socket) => socket.cut(),
];

const run = async (token: MintedToken, index: number): Promise<void> => {
  const { endpoint_id } = token;
  const socket = await startCall(server.wsUrl, { token: token.token, endpoint_id }, { early: index % 2 === 0 });
  await WAYS[index % WAYS.length]!(socket);
  await socket.closed;
  const last = socket.messages.at(-1);
  const reason = last?.type === 'ended' ? last.reason : 'none';
  reasons[reason] = (reasons[reason] ?? 0) + 1;
};

const runReal = async ({ token, endpoint_id }: MintedToken): Promise<void> => {
  const socket = await startCall(server.wsUrl, { token, endpoint_id });
  const offer = await socket.expect('offer');
  const client = await RtcClient.answer(offer.sdp);
  socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: client.answerSdp });
  await socket.skipTo('live');
  client.startSending();
  await delay(100);
  socket.send({ type: 'hangup' });
  await socket.skipTo('ended');
  await client.close();
};

const runAll = async (tokens: readonly MintedToken[], real: readonly MintedToken[]): Promise<void> => {
  for (const token of real) await runReal(token);
  const entries = tokens.entries();
  const lane = async () => {
    for (const [index, token] of entries) await run(token, index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  while (Object.values(server.running.held()).some((held) => held > 0)) await delay(50);
};

const snapshot = async (): Promise<Snapshot> => {
  // Sockets and timers of what just ended are let go within the deadlines of ws and of the store.
  await delay(3000);
  // Timers that are there for a moment, in turn, are no more than a moment's.
  const samples: Record<string, number>[] = [];
  for (let round = 0; round < 20; round++) {
    globalThis.gc?.();
    await delay(25);
    const kinds = Object.groupBy(process.getActiveResourcesInfo(), (name) => name);
    samples.push(Object.fromEntries(Object.entries(kinds).map(([name, all = []]) => [name, all.length])));
  }
  const names = new Set(samples.flatMap((sample) => Object.keys(sample)));
  const least = (name: string) => Math.min(...samples.map((sample) => sample[name] ?? 0));
  const resources = Object.fromEntries([...names].map((name) => [name, least(name)]));
  const keys = await redis.cli('--raw', 'KEYS', 'callgate:{endpoint:*}:places');
  return {
    heapUsed: process.memoryUsage().heapUsed,
    workerRss: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pids[0]}/status`, 'utf8'))?.[1]) * 1024,
    held: server.running.held(),
    media: { ...media },
    resources,
    listeners: emitters
      .flatMap((emitter) => emitter.eventNames().map((name) => emitter.listenerCount(name as string)))
      .reduce((sum, listeners) => sum + listeners, 0),
    places: keys === '' ? 0 : keys.split('\n').length,
  };
};

const measure = async (): Promise<LoopReport> => {
  // Minted before anything is measured, one after another, so that HTTP keeps one connection.
  const echo = await tokensOf(WARM_UP + SESSIONS, 'ep_echo', 1);
  const rooms = await tokensOf(20, 'ep_room', 1);
  const real = await tokensOf(12, 'ep_echo', 60);

  await runAll([...echo.slice(0, WARM_UP), ...rooms.slice(0, 10)], real.slice(0, 6));
  const warm = await snapshot();
  await runAll([...echo.slice(WARM_UP), ...rooms.slice(10)], real.slice(6));
  return { warm, done: await snapshot(), reasons };
};

try {
  process.stdout.write(`${JSON.stringify(await measure())}\n`);
} finally {
  await server.stop();
  await redis.stop();
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { freePort } from '../support/ports.ts';
import { TestRedis } from '../support/redis.ts';
import type { MintedToken } from '../support/server.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { startCall, TestSocket } from '../support/ws-client.ts';

/** The kernel picks by addresses and ports: that it picks one of two processes for all of these has a chance of 2^-63. */
const MANY = 64;

interface Call {
  token: MintedToken;
  socket: TestSocket;
  first: Awaited<ReturnType<TestSocket['next']>>;
}

const hangUp = async ({ socket }: Call): Promise<void> => {
  socket.send({ type: 'hangup' });
  expect(await socket.skipTo('ended')).toMatchObject({ reason: 'completed' });
  await socket.closing();
};

/** The tokens of which a process has logged that it did this to them. */
const tokensOf = ({ log }: ServerProcess, done: 'mint' | 'burn'): Set<unknown> =>
  new Set(log.filter(({ audit, event }) => audit && event === done).map(({ token_id }) => token_id));

const has = (server: ServerProcess, { token }: Call): boolean => tokensOf(server, 'burn').has(token.id);

describe('two processes on one port', { timeout: 90_000 }, () => {
  let redis: TestRedis;
  let deployment: Deployment;
  let servers: [ServerProcess, ServerProcess];
  let PORT: string;

  /** Another process may have said that it is ready. */
  const join = async (): Promise<ServerProcess> => {
    const server = await deployment.server({ PORT, LOG_LEVEL: 'info' });
    await server.printed(/"callgate is up"/);
    return server;
  };

  beforeAll(async () => {
    redis = await TestRedis.start();
    // The last frame of a session waits for a store that is away, and the stop with it.
    const settings = { http: { reuse_port: true }, session: { finish_wait_ms: 5000 } };
    deployment = await Deployment.create({ redisUrl: redis.url, settings });
    PORT = String(await freePort());
    servers = [await join(), await join()];
  });

  afterAll(async () => {
    try {
      await deployment?.stop();
    } finally {
      await redis?.stop();
    }
  });

  const mint = (): Promise<MintedToken> => deployment.mint(servers[0], 'ep_echo', { ttl_seconds: 600 });

  const present = async (token: MintedToken, early: boolean): Promise<Call> => {
    const start = { token: token.token, endpoint_id: token.endpoint_id };
    const socket = await startCall(servers[0].wsUrl, start, { early, timeoutMs: 60_000 });
    return { token, socket, first: await socket.next() };
  };

  /** Calls of which each process has some. */
  const manyCalls = async (): Promise<Call[]> => {
    const calls = await Promise.all(Array.from({ length: MANY }, async (_, i) => present(await mint(), i % 2 === 0)));
    expect(calls.map(({ first }) => first.type)).toEqual(Array(MANY).fill('offer'));
    for (const call of calls) await expect.poll(() => servers.filter((server) => has(server, call))).toHaveLength(1);
    for (const server of servers) expect(calls.some((call) => has(server, call))).toBe(true);
    return calls;
  };

  it('both have calls, with tokens that one or the other has minted', async () => {
    const calls = await manyCalls();
    for (const [minter, other] of [servers, servers.toReversed()]) {
      const crossed = calls.filter((call) => has(other!, call) && tokensOf(minter!, 'mint').has(call.token.id));
      expect(crossed.length).toBeGreaterThan(0);
    }
    await Promise.all(calls.map(hangUp));
  });

  it('give a token to exactly one of many presenters, in the one or the other', async () => {
    const winners = new Set<ServerProcess | undefined>();
    for (let round = 0; round < MANY && winners.size < 2; round++) {
      const token = await mint();
      const calls = await Promise.all(Array.from({ length: 24 }, (_, i) => present(token, i % 2 === 0)));
      const [winner, ...others] = calls.filter(({ first }) => first.type === 'offer');
      expect(others).toEqual([]);
      expect(calls.flatMap(({ first }) => (first.type === 'error' ? first.code : []))).toEqual(
        Array(23).fill('token_used'),
      );
      await hangUp(winner!);
      await expect.poll(() => servers.filter((server) => has(server, winner!))).toHaveLength(1);
      winners.add(servers.find((server) => has(server, winner!)));
    }
    expect(winners.size).toBe(2);
  });

  it('have metrics of their own', async () => {
    const urls = servers.map(({ log }) => String(log.find(({ metrics }) => metrics)?.metrics));
    expect(new Set(urls).size).toBe(2);
    for (const url of urls) expect(await (await fetch(url)).text()).toContain('callgate_sessions 0');
  });

  it('go on when the other stops: with their calls and all new ones, which they share with one that joins', async () => {
    const calls = await manyCalls();
    const [stopped, other] = servers;
    expect(await stopped.stop()).toEqual({ code: 0, signal: null });
    for (const { socket } of calls.filter((call) => has(stopped, call))) {
      expect(await socket.expect('ended')).toMatchObject({ reason: 'server_shutdown' });
    }
    for (let again = 0; again < MANY; again++) {
      const call = await present(await mint(), false);
      expect(call.first.type).toBe('offer');
      await expect.poll(() => has(other, call)).toBe(true);
      await hangUp(call);
    }
    await Promise.all(calls.filter((call) => has(other, call)).map(hangUp));

    servers[0] = await join();
    await Promise.all((await manyCalls()).map(hangUp));
  });

  it('get no more sockets from the moment in which they stop', async () => {
    const open = () => Promise.all(Array.from({ length: MANY }, () => TestSocket.open(servers[1].wsUrl)));
    const calls = await manyCalls();
    const unstarted = await open();
    redis.pause();
    try {
      servers[0].signal('SIGTERM');
      await Promise.race(unstarted.map((socket) => socket.expect('error')));
      // One that reached the stopping process would be refused with 503.
      const later = await open();
      await Promise.all([...unstarted, ...later].map((socket) => socket.cut()));
    } finally {
      redis.resume();
    }
    expect(await servers[0].exited).toEqual({ code: 0, signal: null });
    await Promise.all(calls.map(({ socket }) => socket.cut()));
  });
});

it('a process does not share its port without a Redis', async () => {
  const deployment = await Deployment.create({ settings: { http: { reuse_port: true } } });
  try {
    await expect(deployment.server()).rejects.toThrow(/callgate cannot start: REDIS_URL must name the Redis/);
  } finally {
    await deployment.stop();
  }
});

import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { writeAnswer } from '../../src/peer/sdp/answer.ts';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

const childrenOf = ({ pid }: ServerProcess): number[] =>
  execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean)
    .map(Number);

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

const loggedErrors = ({ log }: ServerProcess) => log.filter(({ level }) => Number(level) >= 50);

/** A call that is answered, and one that is not. */
const callTwice = async (deployment: Deployment, server: ServerProcess) => {
  const sockets: TestSocket[] = [];
  const ids: string[] = [];
  for (const answered of [true, false]) {
    const { id, token } = await deployment.mint(server, 'ep_echo');
    const socket = await startCall(server.wsUrl, { token, endpoint_id: 'ep_echo' });
    const offer = await socket.expect('offer');
    if (answered) socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: writeAnswer(offer.sdp) });
    sockets.push(socket);
    ids.push(id);
  }
  return { sockets, ids };
};

describe('a server process that is told to stop', { timeout: 90_000 }, () => {
  let redis: TestRedis;
  let deployment: Deployment;
  let other: ServerProcess;

  beforeAll(async () => {
    redis = await TestRedis.start();
    deployment = await Deployment.create({ redisUrl: redis.url });
    other = await deployment.server();
  });

  afterAll(async () => {
    try {
      await deployment?.stop();
    } finally {
      await redis?.stop();
    }
  });

  it.each([
    { signal: 'SIGTERM', group: false },
    { signal: 'SIGINT', group: false },
    { signal: 'SIGTERM', group: true },
    { signal: 'SIGINT', group: true },
  ] as const)('by $signal (to the whole group: $group) does so in order', async ({ signal, group }) => {
    const server = await deployment.server({}, { ownGroup: true });
    const workers = childrenOf(server);
    expect(workers.length).toBeGreaterThan(0);
    const { sockets, ids } = await callTwice(deployment, server);

    server.signal(signal, { group });
    for (const socket of sockets) {
      expect(await socket.expect('ended')).toEqual({ type: 'ended', reason: 'server_shutdown' });
      expect((await socket.closing()).code).toBe(1000);
    }
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(loggedErrors(server)).toEqual([]);
    expect(workers.filter(isAlive)).toEqual([]);
    for (const id of ids) {
      expect(await deployment.read(other, id)).toMatchObject({
        status: 'completed',
        session: { end_reason: 'server_shutdown' },
      });
    }
  });

  it('twice exits at once', async () => {
    const server = await deployment.server({ LOG_LEVEL: 'info' });
    const workers = childrenOf(server);
    await callTwice(deployment, server);
    // Ends that cannot be stored keep the stop waiting.
    redis.pause();
    server.signal('SIGTERM');
    await server.printed(/"stopping"/);
    // Two signals within a second are one Ctrl-C that arrived twice.
    await delay(1100);
    server.signal('SIGTERM');
    expect(await server.exited).toEqual({ code: 1, signal: null });
    redis.resume();
    await expect.poll(() => workers.filter(isAlive), { timeout: 10_000 }).toEqual([]);
  });

  it('waits for nobody who dawdles', async () => {
    const server = await deployment.server();
    const { port } = new URL(server.url);
    const dawdle = async (text: string) => {
      const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
      await new Promise<void>((resolve) => void socket.write(text, () => resolve()));
      return socket;
    };
    const head = 'HTTP/1.1\r\nHost: here\r\n';
    const dawdlers = [
      await dawdle(''),
      await dawdle(`POST /v1/call-tokens ${head}Content-Length: 10\r\n\r\n{`),
      await dawdle(`GET /nowhere ${head}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`),
    ];
    const { sockets } = await callTwice(deployment, server);

    const since = performance.now();
    server.signal('SIGTERM');
    for (const socket of sockets) expect(await socket.expect('ended')).toMatchObject({ reason: 'server_shutdown' });
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - since).toBeLessThan(10_000);
    for (const socket of dawdlers) socket.destroy();
  });
});

describe('a server process whose media worker is killed', { timeout: 90_000 }, () => {
  it('ends the calls of that worker and takes new ones', async () => {
    const deployment = await Deployment.create();
    onTestFinished(() => deployment.stop());
    const server = await deployment.server();
    const { sockets, ids } = await callTwice(deployment, server);
    const [worker] = childrenOf(server);
    process.kill(worker!, 'SIGKILL');
    for (const socket of sockets) {
      expect(await socket.expect('ended')).toEqual({ type: 'ended', reason: 'worker_lost' });
      expect((await socket.closing()).code).toBe(1000);
    }
    for (const id of ids) {
      expect(await deployment.read(server, id)).toMatchObject({ session: { end_reason: 'worker_lost' } });
    }
    await expect.poll(() => fetch(`${server.url}/readyz`).then(({ status }) => status), { timeout: 10_000 }).toBe(200);
    expect(childrenOf(server)).not.toContain(worker);
    const { sockets: again } = await callTwice(deployment, server);
    for (const socket of again) {
      socket.send({ type: 'hangup' });
      expect(await socket.expect('ended')).toMatchObject({ reason: 'completed' });
    }
  });
});

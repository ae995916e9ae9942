import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fakeAnswer } from '../support/fake-answer.ts';
import { freePort } from '../support/ports.ts';
import { TestRedis } from '../support/redis.ts';
import { ServerProcess } from '../support/server-process.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';
import { runServer } from './support/cli.ts';
import { Deployment } from './support/deployment.ts';

let folder = '';
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-process-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const temporary = async (text: string): Promise<string> => {
  const path = join(folder, `${files++}.yaml`);
  await writeFile(path, text);
  return path;
};

let owned: { stop(): Promise<unknown> }[] = [];

const own = <T extends { stop(): Promise<unknown> }>(part: T): T => {
  owned.unshift(part);
  return part;
};

afterEach(async () => {
  const parts = owned;
  owned = [];
  for (const part of parts) await part.stop();
});

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
    if (answered) socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: fakeAnswer(offer.sdp) });
    sockets.push(socket);
    ids.push(id);
  }
  return { sockets, ids };
};

describe('a server process', { timeout: 90_000 }, () => {
  it.each([
    { signal: 'SIGTERM', group: false },
    { signal: 'SIGINT', group: false },
    { signal: 'SIGTERM', group: true },
    { signal: 'SIGINT', group: true },
  ] as const)('stops in order on $signal (to the whole group: $group)', async ({ signal, group }) => {
    const redis = own(await TestRedis.start());
    const deployment = own(await Deployment.create({ redisUrl: redis.url }));
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

    const other = await deployment.server();
    for (const id of ids) {
      expect(await deployment.read(other, id)).toMatchObject({
        status: 'completed',
        session: { end_reason: 'server_shutdown' },
      });
    }
  });

  it('refuses who comes while it stops, and waits for nobody who says nothing', async () => {
    const deployment = own(await Deployment.create());
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

  it('exits at once on a second signal', async () => {
    const redis = own(await TestRedis.start());
    const deployment = own(await Deployment.create({ redisUrl: redis.url }));
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

  it('goes on after a media worker was killed: its sessions end, new calls work', async () => {
    const deployment = own(await Deployment.create());
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

describe('the demo', { timeout: 90_000 }, () => {
  it('runs twice side by side, on loopback alone, each with a page and a key that mints', async () => {
    const [first, second] = [own(await ServerProcess.start()), own(await ServerProcess.start())];
    for (const server of [first, second]) {
      const [, page] = await server.printed(/page {2,}(\S+)/);
      const [, key] = await server.printed(/API key +(cgk_demo_\S+)/);
      expect(page).toBe(`${server.url}/`);
      const response = await fetch(`${server.url}/v1/call-tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ endpoint_id: 'ep_echo' }),
      });
      expect(response.status).toBe(201);
      const { token } = (await response.json()) as { token: string };
      const socket = await startCall(server.wsUrl, { token, endpoint_id: 'ep_echo' });
      await socket.expect('offer');
      await socket.close();
      expect(server.output.replaceAll(key!, '')).not.toContain(token);
      expect(listening(server)).toEqual(['127.0.0.1', '127.0.0.1']);
    }
    expect(await first.stop()).toEqual({ code: 0, signal: null });
    expect(await second.stop()).toEqual({ code: 0, signal: null });
  });

  it('takes any free port for the metrics when the next one is taken', async () => {
    const port = await freePort({ count: 2 });
    const blocker = createServer().listen(port + 1, '127.0.0.1');
    own({ stop: () => new Promise((resolve) => blocker.close(resolve)) });
    const server = own(await ServerProcess.start({ env: { PORT: String(port) } }));
    const [, metrics] = await server.printed(/"metrics":"([^"]+)"/);
    expect(new URL(metrics!).port).not.toBe(String(port + 1));
    expect((await fetch(metrics!)).status).toBe(200);
  });

  it('does not listen beyond loopback', async () => {
    const { code, output } = await runServer({ HOST: '0.0.0.0' });
    expect(code).toBe(1);
    expect(output).toMatch(/HOST must be a loopback address/);
  });
});

/** Local addresses of the TCP sockets on which the process itself listens. */
const listening = ({ pid }: ServerProcess): string[] =>
  execFileSync('ss', ['-Hltnp'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(`pid=${pid},`))
    .map((line) => line.split(/\s+/)[3]!.replace(/:\d+$/, ''));

describe('a start that cannot succeed', { timeout: 60_000 }, () => {
  const refusals: [what: string, make: () => Promise<Record<string, string>>, told: RegExp][] = [
    [
      'without tenants',
      async () => ({ CALLGATE_CONFIG: await temporary('log_level: info') }),
      /CALLGATE_TENANTS must name/,
    ],
    [
      'with Redis but without signing keys',
      async () => ({ REDIS_URL: 'redis://127.0.0.1:1', CALLGATE_TENANTS: 'config/tenants.yaml' }),
      /CALLGATE_SIGNING_KEYS must name/,
    ],
    [
      'with tenants that are not there',
      async () => ({ CALLGATE_TENANTS: '/nowhere.yaml' }),
      /CALLGATE_TENANTS must be/,
    ],
    [
      'with a worker that is not there',
      async () => ({ MEDIASOUP_WORKER_BIN: '/nowhere' }),
      /MEDIASOUP_WORKER_BIN must be/,
    ],
    ['with a worker that is none', async () => ({ MEDIASOUP_WORKER_BIN: '/bin/true' }), /worker/],
    [
      'with more workers than ports',
      async () => ({
        CALLGATE_TENANTS: 'config/tenants.yaml',
        CALLGATE_RTC_PORTS: '40000-40000',
        CALLGATE_CONFIG: await temporary('media: { workers: 4 }'),
      }),
      /CALLGATE_RTC_PORTS|ports/,
    ],
    [
      'with tenants that make no sense',
      async () => ({ CALLGATE_TENANTS: await temporary('teams:\n  - id: team_a\n    nonsense: 1\n') }),
      /nonsense/,
    ],
    [
      'with signing keys that are none',
      async () => ({
        CALLGATE_TENANTS: 'config/tenants.yaml',
        CALLGATE_SIGNING_KEYS: await temporary('{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldA"}]}'),
      }),
      /signing keys|key 1/,
    ],
  ];

  it.each(refusals)('%s exits with 1, a message for people, and nothing left', async (_, make, told) => {
    const { code, output, left } = await runServer(await make());
    expect(output).toMatch(told);
    expect(output).not.toMatch(/^ +at .*\.(ts|js):/m);
    expect(output).not.toContain('c2VjcmV0');
    expect(code).toBe(1);
    expect(left).toEqual([]);
  });

  it('on a port in use exits with 1, a message for people, and nothing left', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    own({ stop: () => new Promise((resolve) => blocker.close(resolve)) });
    const address = blocker.address();
    const port = String(typeof address === 'object' ? address?.port : '');
    const { code, output, left } = await runServer({ PORT: port });
    expect(output).toContain(port);
    expect(output).toMatch(/in use/i);
    expect(output).not.toMatch(/^ +at .*\.(ts|js):/m);
    expect(code).toBe(1);
    expect(left).toEqual([]);
  });
});

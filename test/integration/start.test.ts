import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { runServer } from '../support/cli.ts';
import { freePort } from '../support/ports.ts';
import { ServerProcess } from '../support/server-process.ts';
import { startCall } from '../support/ws-client.ts';

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

/** Stops the part when the test has ended, however that was; what was started last is stopped first. */
const own = <T extends { stop(): Promise<unknown> }>(part: T): T => {
  onTestFinished(async () => {
    await part.stop();
  });
  return part;
};

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
    const port = await portBeforeTakenOne();
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

/** A free port whose successor is held until the test ends. */
const portBeforeTakenOne = async (): Promise<number> => {
  for (;;) {
    const port = await freePort(1);
    const blocker = createServer();
    const isHeld = await new Promise<boolean>((resolve) => {
      // Somebody else was faster, and may let go of it at any time.
      blocker.once('error', () => resolve(false));
      blocker.listen(port + 1, '127.0.0.1', () => resolve(true));
    });
    if (!isHeld) continue;
    own({ stop: () => new Promise((resolve) => blocker.close(resolve)) });
    return port;
  }
};

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

  it.concurrent.each(refusals)('%s exits with 1, a message for people, and nothing left', async (_, make, told) => {
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

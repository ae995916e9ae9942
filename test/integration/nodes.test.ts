import { afterAll, beforeAll, expect, it } from 'vitest';
import { type NodeLine, showNodes } from '../../src/cluster/commands.ts';
import { runCli } from '../support/cli.ts';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import { startCall } from '../support/ws-client.ts';

/** The call is never answered; it only has to be there. */
const PATIENT = { answer_timeout_ms: 120_000, connect_timeout_ms: 120_000 };

let redis: TestRedis;
let deployment: Deployment;
beforeAll(async () => {
  redis = await TestRedis.start();
  deployment = await Deployment.create({
    redisUrl: redis.url,
    settings: { media: { workers: 1, max_calls_per_worker: 10 }, session: PATIENT },
  });
});
afterAll(async () => {
  await deployment?.stop();
  await redis?.stop();
});

/** What the command would print, without a process of its own. */
const nodes = async (): Promise<NodeLine[]> => JSON.parse((await showNodes(redis.url, { json: true })).join('\n'));
const states = async () => (await nodes()).map(({ name, state }) => [name, state]);
const callgateNodes = async (...args: string[]): Promise<string> => {
  const { code, output } = await runCli(['nodes', ...args], { REDIS_URL: redis.url });
  expect(code).toBe(0);
  return output;
};

it('callgate nodes lists the processes of a Redis, with REDIS_URL alone', { timeout: 60_000 }, async () => {
  await redis.cli('FLUSHALL');
  const [first, second] = await Promise.all([
    deployment.server({ CALLGATE_NODE_NAME: 'gate-1' }),
    deployment.server({ CALLGATE_NODE_NAME: 'gate-2' }),
  ]);
  const { token, endpoint_id } = await deployment.mint(first, 'ep_echo');
  const call = await startCall(first.wsUrl, { endpoint_id, token });
  await call.expect('offer');
  await expect.poll(async () => (await nodes())[0]?.calls, { timeout: 5000 }).toBe(1);

  expect(JSON.parse(await callgateNodes('--json'))).toEqual([
    {
      id: expect.stringMatching(/^n_[a-z2-7]{8}$/),
      ...{ name: 'gate-1', roles: ['gateway', 'media'], state: 'live', calls: 1, capacity: 10 },
      ...{ load: expect.any(Number), version: expect.stringMatching(/^\d+\.\d+\.\d+/), age_ms: expect.any(Number) },
    },
    expect.objectContaining({ name: 'gate-2', calls: 0 }),
  ]);
  const lines = (await callgateNodes())
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/).map((cell) => cell.trim()));
  expect(lines[0]).toEqual(['id', 'name', 'roles', 'state', 'calls', 'capacity', 'load', 'version', 'age']);
  expect(lines[1]?.slice(1, 6)).toEqual(['gate-1', 'gateway,media', 'live', '1', '10']);
  expect(lines).toHaveLength(3);

  first.signal('SIGKILL');
  await first.exited;
  await expect.poll(states, { timeout: 10_000 }).toEqual([
    ['gate-1', 'dead'],
    ['gate-2', 'live'],
  ]);
  await second.stop();
  expect(await states()).toEqual([['gate-1', 'dead']]);
});

it('without REDIS_URL it says in one sentence what it needs', async () => {
  const { code, output } = await runCli(['nodes'], {});
  expect(code).toBe(2);
  expect(output).toMatch(/^REDIS_URL must name the Redis that the processes share: [^\n]*\n$/);
});

it('where nothing answers it says so within moments', async () => {
  const { code, output } = await runCli(['nodes', '--json'], { REDIS_URL: 'redis://127.0.0.1:1' });
  expect([code, output]).toEqual([2, 'the Redis cannot be reached\n']);
});

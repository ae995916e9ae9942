import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it, onTestFinished } from 'vitest';
import { Ledger } from '../support/ledger.ts';
import { TestRedis } from '../support/redis.ts';
import { TwoProcesses } from '../support/survival.ts';

/** Without media a call never connects. */
const PATIENT = { session: { connect_timeout_ms: 180_000, answer_timeout_ms: 180_000 } };
const CALLS = 20;
/** Long enough for everybody to seem silent, and for a renewal to fail. */
const AWAY_MS = 12_000;
const LOAD = `--sessions ${CALLS} --rate 10 --duration 30s --media none --churn 0.1/s --fresh`.split(' ');

let two: TwoProcesses;
afterEach(() => two?.stop());

const mint = () =>
  two.deployment.request(two.urls[0]!, 'POST', '', { endpoint_id: 'ep_echo' }).then(({ status }) => status);

/** All calls went on at the process that they began at, and ended when they were hung up. */
const expectUntouched = async (load: ReturnType<TwoProcesses['load']>, redisUrl: string) => {
  const { errors, endReasons, returns } = await load;
  expect({ errors, endReasons }).toEqual({ errors: {}, endReasons: { completed: CALLS } });
  expect(returns).toMatchObject({ adopted: 0, gone: {}, rehomed: 0 });
  expect(returns?.attached).toBeGreaterThan(0);
  await expect.poll(async () => (await Ledger.read(redisUrl)).alive, { timeout: 40_000, interval: 500 }).toEqual([]);
  const ledger = await Ledger.read(redisUrl);
  expect(ledger.broken).toEqual([]);
  expect(ledger.count('adopt')).toBe(0);
  expect(await two.held()).toEqual({ sessions: 0, calls: 0 });
};

it('without their Redis calls go on, clients resume, and nothing is minted or adopted', {
  timeout: 240_000,
}, async () => {
  // What was answered is on disk.
  const redis = await TestRedis.start('--appendonly', 'yes', '--appendfsync', 'always');
  two = await TwoProcesses.start(PATIENT, redis);
  const load = two.load(...LOAD);
  await two.burned(CALLS);
  await redis.kill();
  expect(await mint()).toBe(503);
  await sleep(AWAY_MS);
  expect(await two.held()).toEqual({ sessions: CALLS, calls: CALLS });
  await redis.boot();
  await expect.poll(mint, { timeout: 10_000 }).toBe(201);
  await expectUntouched(load, redis.url);
});

it('a failover that Sentinel makes ends no call', { timeout: 240_000 }, async () => {
  const master = await TestRedis.start();
  const replica = await TestRedis.start();
  await replica.follow(master);
  const sentinel = await TestRedis.startSentinel(master, 'group');
  onTestFinished(async () => {
    for (const redis of [sentinel, replica]) await redis.stop();
  });
  const url = `redis+sentinel://127.0.0.1:${sentinel.port}/group`;
  two = await TwoProcesses.start(PATIENT, master, url);
  const load = two.load(...LOAD);
  await two.burned(CALLS);
  await master.kill();
  await expect.poll(mint, { timeout: 30_000 }).toBe(201);
  await expectUntouched(load, replica.url);
});

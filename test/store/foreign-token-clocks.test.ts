import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { ForeignToken } from '../../src/store/store.ts';
import { foreignTokenId } from '../../src/tokens/issuers/claims.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { HELD } from '../support/held.ts';
import { TestRedis } from '../support/redis.ts';
import { newSessionId } from '../support/store-contract.ts';

/**
 * A Redis cannot be told the time. That its clock has fallen back is shown by what it is measured against instead: what the
 * process has counted meanwhile, or what the fences say was seen before.
 */
const BEHIND_MS = 3000;

let count = 0;
const newId = () => foreignTokenId('https://platform', `behind ${++count}`);
const issuedAt = (ms: number): ForeignToken => ({
  team: 'team_demo',
  issuedAt: ms,
  expiresAt: ms + 60_000,
  maxDurationSeconds: 90,
});
const issuedIn = (ms: number): ForeignToken => issuedAt(Date.now() + ms);
const unknown = { burned: false, refusal: 'token_unknown' };

const startRedis = async (): Promise<TestRedis> => {
  const redis = await TestRedis.start();
  onTestFinished(() => redis.stop());
  return redis;
};
const openStore = async (redis: TestRedis, url = redis.url): Promise<RedisTokenStore> => {
  const store = new RedisTokenStore(url, { log: { warn: () => undefined }, fences: true, tickMs: 200 });
  onTestFinished(() => store.close());
  // Every partition has its fence, and the clock has moved on.
  const fences = () => redis.cli('EVAL', `return #redis.call('KEYS', '*:fence')`, '0');
  await expect.poll(fences, { timeout: 10_000 }).toBe('16');
  await sleep(50);
  return store;
};
const burn = (store: RedisTokenStore, foreign: ForeignToken, id = newId()) =>
  store.burn({ ...HELD, id, endpointId: 'ep_echo', sessionId: newSessionId(), foreign });
/** What a store says once it answers. */
const whenBack = (store: RedisTokenStore, foreign: ForeignToken, id = newId()) =>
  vi.waitUntil(() => store.peek(id, foreign).catch(() => undefined), { timeout: 10_000 });

const setFences = (redis: TestRedis, field: 'since' | 'seen', ms: number): Promise<string> =>
  redis.cli(
    'EVAL',
    `for _, key in ipairs(redis.call('KEYS', '*:fence')) do redis.call('HSET', key, '${field}', '${ms}') end`,
    '0',
  );

/** From now on the process has counted that much more than the store's clock. */
const countOn = (ms: number): void => {
  const now = performance.now.bind(performance);
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => now() + ms);
  onTestFinished(() => spy.mockRestore());
};

describe('a store that lost its last burns and whose clock is behind', () => {
  test('refuses what may have been burned, as a process that saw the earlier life counts', async () => {
    const redis = await startRedis();
    const store = await openStore(redis);
    await redis.cli('SAVE');
    await redis.kill();
    countOn(BEHIND_MS);
    const ended = Date.now() + BEHIND_MS;
    await redis.boot();
    expect(await whenBack(store, issuedIn(0))).toBe('token_unknown');
    expect(await burn(store, issuedAt(ended))).toEqual(unknown);
    expect(await burn(store, issuedIn(BEHIND_MS + 2000))).toMatchObject({ burned: true });
  });

  test('refuses it although another process, which saw nothing, was the first to ask', async () => {
    const redis = await startRedis();
    const proxy = await CuttingProxy.start(redis.port);
    onTestFinished(() => proxy.stop());
    const store = await openStore(redis, proxy.url);
    await redis.kill();
    proxy.chance = 1;
    await redis.boot();
    const stranger = await openStore(redis);
    expect(await burn(stranger, issuedIn(0))).toMatchObject({ burned: true });
    countOn(BEHIND_MS);
    const [id, token] = [newId(), issuedAt(Date.now() + BEHIND_MS)];
    proxy.chance = 0;
    expect(await whenBack(store, token, id)).toBe('token_unknown');
    expect(await burn(stranger, token, id)).toEqual(unknown);
  });

  test('refuses it where no process remembers, by what a promoted replica has seen', async () => {
    const [master, replica] = await Promise.all([startRedis(), startRedis()]);
    await replica.follow(master);
    const store = await openStore(master);
    await master.replicated();
    // Promoted behind the master's back, which still takes the burn: the replica never hears of it.
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    const [id, token] = [newId(), issuedIn(0)];
    expect(await burn(store, token, id)).toMatchObject({ burned: true });
    await store.close();
    await master.kill();

    const seen = Date.now() + BEHIND_MS;
    await setFences(replica, 'seen', seen);
    const promoted = await openStore(replica);
    expect(await burn(promoted, token, id)).toEqual(unknown);
    // Seen every 5 s, by a replica that may lag by 10 s.
    expect(await burn(promoted, issuedAt(seen + 15_000))).toEqual(unknown);
    expect(await promoted.peek(newId(), issuedAt(seen + 16_001))).toBeUndefined();
  });
});

describe('the fences', () => {
  test('are seen again with every tick and every burn', async () => {
    const redis = await startRedis();
    const store = await openStore(redis);
    const seen = async () =>
      (await redis.cli('EVAL', `return redis.call('HGET', redis.call('KEYS', '*:fence')[1], 'seen')`, '0')) as string;
    const before = Number(await seen());
    await expect.poll(async () => Number(await seen()), { timeout: 10_000 }).toBeGreaterThan(before);
    await setFences(redis, 'seen', 0);
    const id = newId();
    await burn(store, issuedIn(0), id);
    const fence = `callgate:{${id.split('_')[1]}}:fence`;
    expect(Number(await redis.cli('HGET', fence, 'seen'))).toBeGreaterThan(before);
  });

  test('refuse for no longer than a token may be good, however far ahead a clock once was', async () => {
    const redis = await startRedis();
    const store = await openStore(redis);
    await setFences(redis, 'since', Date.now() + 86_400_000);
    expect(await store.peek(newId(), issuedIn(600_000))).toBe('token_unknown');
    expect(await store.peek(newId(), issuedIn(725_000))).toBeUndefined();
  });

  test('cost little where the clocks are in step and a process remembers', async () => {
    const redis = await startRedis();
    const store = await openStore(redis);
    await redis.cli('SAVE');
    await redis.kill();
    await redis.boot();
    expect(await whenBack(store, issuedIn(0))).toBe('token_unknown');
    // A second; what is busy may be counted as another one, but not 16 s as where nothing is remembered.
    expect(await store.peek(newId(), issuedIn(5000))).toBeUndefined();
  });
});

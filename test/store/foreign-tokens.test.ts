import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { ForeignToken, TokenStore } from '../../src/store/store.ts';
import { foreignTokenId } from '../../src/tokens/issuers/claims.ts';
import { HELD } from '../support/held.ts';
import { TestRedis } from '../support/redis.ts';
import { newSessionId } from '../support/store-contract.ts';

const endpointId = 'ep_echo';
let count = 0;
const newId = () => foreignTokenId('https://platform', `jti ${++count}`);
const foreignToken = (changes: Partial<ForeignToken> = {}): ForeignToken => {
  const now = Date.now();
  return { team: 'team_demo', issuedAt: now, expiresAt: now + 60_000, maxDurationSeconds: 90, ...changes };
};
const burn = (store: TokenStore, id: string, foreign: ForeignToken, sessionId = newSessionId()) =>
  store.burn({ ...HELD, id, endpointId, sessionId, foreign });
const unknown = { burned: false, refusal: 'token_unknown' };
const used = { burned: false, refusal: 'token_used' };
const openRedis = (url: string, options: object = {}) =>
  new RedisTokenStore(url, { log: { warn: () => undefined }, fences: true, ...options });
/** Lets the store learn when its generation began: a peek asks for it. */
const learnGeneration = (store: TokenStore, id: string) => store.peek(id, foreignToken());

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

describe.each([
  ['memory', (options: object) => new MemoryTokenStore(options)],
  ['Redis', (options: object) => openRedis(redis.url, options)],
] as const)('a foreign token, in a store in %s,', (_, make) => {
  let store: TokenStore;
  const open = async (options: object = {}) => {
    store = make(options);
    await learnGeneration(store, newId());
    // Every partition has its fence, and the clock has moved on.
    await sleep(50);
  };
  beforeEach(() => open());
  afterEach(() => store.close());

  test('has no record before its burn, and then one like any other', async () => {
    const [id, token] = [newId(), foreignToken({ fingerprint: `sha-256 ${'AB:'.repeat(31)}CD` })];
    expect(await store.read(id)).toBeUndefined();
    expect(await store.peek(id, token)).toBeUndefined();
    const result = await burn(store, id, token, 'sess_a');
    expect(result).toMatchObject({ burned: true, remainingMs: 90_000 });
    expect(await store.read(id)).toMatchObject({
      id,
      endpointId,
      team: 'team_demo',
      status: 'active',
      createdAt: token.issuedAt,
      expiresAt: token.expiresAt,
      maxDurationSeconds: 90,
      fingerprint: token.fingerprint,
      session: { id: 'sess_a' },
    });
    expect(await store.peek(id, token)).toBe('token_used');
    expect(await store.revoke(id)).toBe('active');
    expect(await store.finish({ ...HELD, id, sessionId: 'sess_a', reason: 'revoked' })).toBe(true);
    expect(await store.read(id)).toMatchObject({ status: 'completed', session: { endReason: 'revoked' } });
    expect(await burn(store, id, token)).toEqual(used);
    await expect
      .poll(async () => (await store.list({ team: 'team_demo', limit: 100 })).records.map((r) => r.id))
      .toContain(id);
  });

  test('is won by one of many, who may ask again', async () => {
    const [id, token] = [newId(), foreignToken()];
    const results = await Promise.all(Array.from({ length: 50 }, (_, i) => burn(store, id, token, `sess_${i}`)));
    const winner = results.findIndex(({ burned }) => burned);
    expect(results.filter(({ burned }) => burned)).toHaveLength(1);
    expect(results.filter((_, i) => i !== winner)).toEqual(Array(49).fill(used));
    expect(await burn(store, id, token, `sess_${winner}`)).toMatchObject({ burned: true });
  });

  test('is refused when it has expired, or was issued before the store began', async () => {
    const now = Date.now();
    const expired = foreignToken({ expiresAt: now });
    expect(await burn(store, newId(), expired)).toEqual({ burned: false, refusal: 'token_expired' });
    expect(await store.peek(newId(), expired)).toBe('token_expired');
    const before = foreignToken({ issuedAt: now - 3_600_000 });
    expect(await burn(store, newId(), before)).toEqual(unknown);
    expect(await store.peek(newId(), before)).toBe('token_unknown');
  });

  test('of an issuer whose clock is ahead is burned once it is issued', async () => {
    const issuedAt = Date.now() + 250;
    const result = await burn(store, newId(), foreignToken({ issuedAt }));
    if (!result.burned) throw new Error(result.refusal);
    expect(result.startedAt).toBeGreaterThanOrEqual(issuedAt);
    await expect(burn(store, newId(), foreignToken({ issuedAt: Date.now() + 120_000 }))).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
  });

  test('stays used until it expires, however short its call was', async () => {
    await store.close();
    await open({ retentionMs: 1 });
    const [id, token] = [newId(), foreignToken({ expiresAt: Date.now() + 10_000, maxDurationSeconds: 1 })];
    await burn(store, id, token, 'sess_a');
    await store.finish({ ...HELD, id, sessionId: 'sess_a', reason: 'completed' });
    await sleep(50);
    expect(await burn(store, id, token)).toEqual(used);
  });
});

test('a full store in memory does not forget a token that could be taken again', async () => {
  const store = new MemoryTokenStore({ maxRecords: 1 });
  const id = newId();
  await burn(store, id, foreignToken(), 'sess_a');
  await store.finish({ ...HELD, id, sessionId: 'sess_a', reason: 'completed' });
  await expect(burn(store, newId(), foreignToken())).rejects.toMatchObject({ code: 'unavailable', retryable: true });
  await store.close();
});

describe('two gateways on one Redis', () => {
  test('burn each foreign token once between them', async () => {
    const stores = [openRedis(redis.url), openRedis(redis.url)];
    for (const store of stores) await learnGeneration(store, newId());
    await sleep(50);
    const tokens = Array.from({ length: 100 }, () => ({ id: newId(), token: foreignToken() }));
    const winners = await Promise.all(
      tokens.map(async ({ id, token }) => {
        const results = await Promise.all(Array.from({ length: 10 }, (_, i) => burn(stores[i % 2]!, id, token)));
        return results.filter(({ burned }) => burned).length;
      }),
    );
    expect(winners).toEqual(Array(100).fill(1));
    await Promise.all(stores.map((store) => store.close()));
  });
});

describe('a store that may have forgotten', () => {
  let own: TestRedis;
  let store: RedisTokenStore;
  beforeEach(async () => {
    own = await TestRedis.start();
    store = openRedis(own.url);
    await learnGeneration(store, newId());
    await sleep(50);
  });
  afterEach(async () => {
    await store.close();
    await own.stop();
  });

  const presentAgain = async (lose: () => Promise<void>) => {
    const [id, token] = [newId(), foreignToken()];
    expect(await burn(store, id, token)).toMatchObject({ burned: true });
    await lose();
    await expect.poll(() => burn(store, id, token).catch(() => undefined), { timeout: 10_000 }).toEqual(unknown);
    // What is issued from now on is good, at the latest a second later.
    await expect
      .poll(() => burn(store, newId(), foreignToken()).catch(() => undefined), { timeout: 10_000 })
      .toMatchObject({ burned: true });
    expect(await burn(store, id, token)).toEqual(unknown);
  };

  test('refuses what it burned before it was restarted without its memory', () =>
    presentAgain(async () => {
      await own.kill();
      await own.boot();
    }));

  test('refuses what it burned after the snapshot that it came back with', async () => {
    await own.cli('SAVE');
    await presentAgain(async () => {
      await own.kill();
      await own.boot();
      expect(await own.cli('KEYS', '*:fence')).not.toBe('');
    });
  });

  test('refuses what it burned before it evicted records', () =>
    presentAgain(async () => {
      await own.cli('CONFIG', 'SET', 'maxmemory-policy', 'volatile-random');
      await own.cli('CONFIG', 'SET', 'maxmemory', '1');
      await own.cli('SET', 'any', 'thing');
      await own.cli('CONFIG', 'SET', 'maxmemory', '0');
      expect(await own.cli('INFO', 'stats')).toMatch(/evicted_keys:[1-9]/);
      expect(await own.cli('KEYS', '*:fence')).not.toBe('');
    }));

  test('refuses what it burned before it was emptied', () =>
    presentAgain(async () => {
      await own.cli('FLUSHALL');
    }));
});

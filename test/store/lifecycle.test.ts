import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { HELD } from '../support/held.ts';
import { describeLifecycle } from '../support/lifecycle-contract.ts';
import { TestRedis } from '../support/redis.ts';
import { newSessionId, newToken } from '../support/store-contract.ts';

const DAY_MS = 86_400_000;
const silent = { warn: () => undefined };

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

const open = (url = redis.url, log: ConstructorParameters<typeof RedisTokenStore>[1]['log'] = silent) => {
  const store = new RedisTokenStore(url, { log, tickMs: 200 });
  onTestFinished(() => store.close());
  return store;
};

describeLifecycle('memory', () => new MemoryTokenStore());
describeLifecycle('Redis', () => new RedisTokenStore(redis.url, { log: silent }));

/** Listens, and resolves once announcements arrive. */
async function listen(store: RedisTokenStore) {
  const heard: string[] = [];
  let missed = 0;
  store.onSessions({ revoked: (id) => void heard.push(id), moved: () => undefined, missed: () => void missed++ });
  await expect.poll(() => missed, { timeout: 10_000 }).toBe(1);
  return { heard, missed: () => missed };
}

async function activeToken(store: RedisTokenStore) {
  const token = newToken();
  const sessionId = newSessionId();
  await store.issue(token);
  await store.burn({ ...HELD, ...token, sessionId });
  return { ...token, sessionId };
}

describe('revocations in Redis', () => {
  test('reach whichever process holds the session', async () => {
    const [owner, other] = [open(), open()];
    const { heard } = await listen(owner);
    const token = await activeToken(owner);
    await other.revoke(token.id);
    await expect.poll(() => [...new Set(heard)], { timeout: 5000 }).toEqual([token.sessionId]);
  });

  test('that were announced while the connection was away are told with the renewal that follows its return', async () => {
    const own = await TestRedis.start('--appendonly', 'yes', '--appendfsync', 'always');
    onTestFinished(() => own.stop());
    const store = open(own.url);
    const { heard, missed } = await listen(store);
    const token = await activeToken(store);
    const lease = { ...HELD, tokenId: token.id, endpointId: token.endpointId, sessionId: token.sessionId };
    await own.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await store.revoke(token.id);
    await expect.poll(missed, { timeout: 10_000 }).toBe(2);
    await store.renew([lease]);
    expect(heard).toContain(token.sessionId);
    await own.kill();
    await sleep(300);
    await own.boot();
    await expect.poll(missed, { timeout: 10_000 }).toBe(3);
    const next = await activeToken(store);
    await store.revoke(next.id);
    await expect.poll(() => heard, { timeout: 5000 }).toContain(next.sessionId);
  });

  test('are recorded and told with the leases where the user may not use the channel', async () => {
    await redis.cli('ACL', 'SETUSER', 'mute', 'on', '>s3cret', '~callgate:*', '+@all', 'resetchannels');
    const lines: string[] = [];
    const log = { warn: (_: object, message: string) => void lines.push(message) };
    const store = open(redis.url.replace('//', '//mute:s3cret@'), log);
    const heard: string[] = [];
    store.onSessions({ revoked: (id) => void heard.push(id), moved: () => undefined, missed: () => undefined });
    const token = await activeToken(store);
    expect(await store.revoke(token.id)).toBe('active');
    expect(await store.read(token.id)).toMatchObject({ revokedAt: expect.any(Number) });
    await store.renew([{ ...HELD, tokenId: token.id, endpointId: token.endpointId, sessionId: token.sessionId }]);
    expect(heard).toEqual([token.sessionId]);
    await expect
      .poll(() => lines.toSorted(), { timeout: 5000 })
      .toEqual([
        'revocations are heard only with the leases',
        'the user of the token store may not do what callgate needs there: grant it',
      ]);
  });
});

describe('what lies beside the records in Redis', () => {
  const pttl = async (key: string) => Number(await redis.cli('PTTL', key));

  test('an index goes with the last of its records, and entries whose records are gone are dropped', async () => {
    const store = open();
    const team = 'team_index';
    const key = `callgate:{team:${team}}:tokens`;
    const [gone, kept] = [newToken({ team }), newToken({ team })];
    await store.issue(gone);
    await redis.cli('ZADD', key, String((Date.now() - 3 * DAY_MS) * 1000), newTokenId());
    await store.issue(kept);
    expect(await redis.cli('ZCARD', key)).toBe('2');
    expect(await pttl(key)).toBeGreaterThan(DAY_MS);
    expect(await pttl(key)).toBeLessThanOrEqual(2 * DAY_MS + 600_000);
    const [, family, random] = gone.id.split('_');
    await redis.cli('DEL', `callgate:{${family}}:${random}`);
    const listed = async () => (await store.list({ team, limit: 10 })).records.map(({ id }) => id);
    expect(await listed()).toEqual([kept.id]);
    // The record of a young entry may still be on its way.
    expect(await redis.cli('ZCARD', key)).toBe('2');
    await redis.cli('ZADD', key, String((Date.now() - 61_000) * 1000), gone.id);
    expect(await listed()).toEqual([kept.id]);
    expect(await redis.cli('ZRANGE', key, '0', '-1')).toBe(kept.id);
  });

  test('a claim lapses in five seconds, and a settled one in ten minutes', async () => {
    const { idempotency } = open();
    const claim = { key: 'lapse', request: 'a', tokenId: newTokenId() };
    const key = 'callgate:{idempotency:lapse}';
    await idempotency.claim(claim);
    expect(await pttl(key)).toBeGreaterThan(0);
    expect(await pttl(key)).toBeLessThanOrEqual(5000);
    await idempotency.settle(claim);
    expect(await pttl(key)).toBeGreaterThan(590_000);
    expect(await pttl(key)).toBeLessThanOrEqual(600_000);
    await redis.cli('PEXPIRE', key, '1');
    await sleep(20);
    expect(await idempotency.settle(claim)).toBe(false);
  });

  test('a mint rate is one limit for all processes', async () => {
    const rule = { limit: 4, windowSeconds: 60 };
    const taken = await Promise.all(
      [open(), open(), open()].flatMap(({ mintRate }) => [1, 2].map(() => mintRate.take('team_all', rule))),
    );
    expect(taken.filter(({ allowed }) => allowed)).toHaveLength(4);
    const left = await pttl('callgate:rate:{team:team_all}');
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(60_000);
  });

  test('nothing is counted, claimed, listed or refreshed while the store is away', async () => {
    const own = await TestRedis.start();
    const store = open(own.url);
    await store.issue(newToken());
    await own.stop();
    const claim = { key: 'k', request: 'a', tokenId: newTokenId() };
    const calls = [
      store.mintRate.take('team_x', { limit: 1, windowSeconds: 1 }),
      store.idempotency.claim(claim),
      store.idempotency.settle(claim),
      store.idempotency.release(claim),
      store.list({ team: 'team_x', limit: 1 }),
      store.refresh({ id: newTokenId(), successorId: newTokenId(), team: 'team_x' }),
    ];
    const codes = await Promise.all(
      calls.map((call) =>
        call.then(
          () => 'answered',
          (error) => error.code,
        ),
      ),
    );
    expect(codes).toEqual(calls.map(() => 'unavailable'));
  });

  test('a record that the fence refuses is not refreshed', async () => {
    const own = await TestRedis.start();
    onTestFinished(() => own.stop());
    const store = open(own.url);
    const token = newToken();
    await store.issue(token);
    await own.cli('SAVE');
    await own.kill();
    await own.boot();
    await expect
      .poll(() => store.read(token.id).catch(() => undefined), { timeout: 10_000 })
      .toMatchObject({ status: 'expired' });
    const result = await store.refresh({ id: token.id, successorId: newTokenId(), team: token.team });
    expect(result).toEqual({ refreshed: false, refusal: 'not_issued' });
  });
});

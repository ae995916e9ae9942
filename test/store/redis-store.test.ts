import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { HELD } from '../support/held.ts';
import { TestRedis } from '../support/redis.ts';
import { burnedSession, describeSessions, endOf } from '../support/sessions-contract.ts';
import { describeTokenStore, newSessionId, newToken, TEST_LEASE_MS } from '../support/store-contract.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

const silent = { warn: () => undefined };
const open = () => new RedisTokenStore(redis.url, { log: silent, leaseMs: TEST_LEASE_MS, tickMs: 100 });

describeTokenStore('Redis', open);
describeSessions('Redis', open);

const keyOf = (id: string): string => {
  const [, family, random] = id.split('_');
  return `callgate:{${family}}:${random}`;
};
const pttl = async (id: string): Promise<number> => Number(await redis.cli('PTTL', keyOf(id)));

/** Runs `use` with a store of its own and closes it. */
async function withStore(use: (store: RedisTokenStore) => Promise<void>, store = open()): Promise<void> {
  try {
    await use(store);
  } finally {
    await store.close();
  }
}

describe('what a record in Redis outlives', () => {
  test('an unused token stays readable for a day past its expiry', () =>
    withStore(async (store) => {
      const token = newToken({ ttlSeconds: 60 });
      await store.issue(token);
      const left = await pttl(token.id);
      expect(left).toBeGreaterThan(DAY_MS);
      expect(left).toBeLessThanOrEqual(DAY_MS + 60_000);
    }));

  test('an active one outlives its session by a day, and an ended one its end', () =>
    withStore(async (store) => {
      const token = newToken({ maxDurationSeconds: 7200 });
      await store.issue(token);
      await store.burn({ ...HELD, ...token, sessionId: 'sess_a' });
      expect(await pttl(token.id)).toBeGreaterThan(DAY_MS + 7_000_000);
      await store.finish({ ...HELD, id: token.id, sessionId: 'sess_a', reason: 'completed' });
      const left = await pttl(token.id);
      expect(left).toBeGreaterThan(DAY_MS - 60_000);
      expect(left).toBeLessThanOrEqual(DAY_MS);
    }));

  test('that of a plain call is small: Redis keeps it in one piece, and finds its session all the same', () =>
    withStore(async (store) => {
      const session = await burnedSession(store);
      expect(await redis.cli('OBJECT', 'ENCODING', keyOf(session.tokenId))).toBe('listpack');
      expect(await redis.cli('HGET', keyOf(session.tokenId), 'session')).toMatch(/^_[0-9a-f]{16}$/);
      expect((await store.read(session.tokenId))?.session?.id).toBe(session.sessionId);
      const heard = new Set<string>();
      const ready = Promise.withResolvers<void>();
      const revoked = (id: string) => void heard.add(id);
      store.onSessions({ revoked, moved: () => undefined, missed: () => ready.resolve() });
      await ready.promise;
      await store.revoke(session.tokenId);
      await expect.poll(() => [...heard]).toEqual([session.sessionId]);
    }));

  test('that of an ended call is small again, whatever its session needed, and lives as long as any other', () =>
    withStore(async (store) => {
      const session = await burnedSession(store, { metadata: { order: '7' } });
      const { tokenId } = session;
      await store.save({ ...session, tickets: ['x'.repeat(43), 'y'.repeat(43)], resume: 'z'.repeat(200) });
      expect(await redis.cli('OBJECT', 'ENCODING', keyOf(tokenId))).toBe('hashtable');
      const before = await store.read(tokenId);
      expect(await store.finish(endOf(session))).toBe(true);
      expect(await redis.cli('OBJECT', 'ENCODING', keyOf(tokenId))).toBe('listpack');
      expect(await pttl(tokenId)).toBeGreaterThan(DAY_MS - 60_000);
      const ended = { endedAt: expect.any(Number), endReason: 'completed' };
      expect(await store.read(tokenId)).toEqual({
        ...before,
        status: 'completed',
        session: { ...before?.session, ...ended },
      });
      expect(await redis.cli('HMGET', keyOf(tokenId), 'tickets', 'resume')).toBe('');
    }));

  test('tokens of one family have keys of their own under one hash tag', () =>
    withStore(async (store) => {
      const [first, second] = [newToken(), newToken()];
      const family = first.id.split('_')[1];
      const sibling = newToken({ id: newTokenId(family) });
      await Promise.all([first, second, sibling].map((token) => store.issue(token)));
      const keys = (await redis.cli('KEYS', `callgate:{${family}}:*`)).split('\n');
      expect(keys.sort()).toEqual([keyOf(first.id), keyOf(sibling.id)].sort());
    }));
});

describe('scripts in Redis', () => {
  test('are sent again when the server has forgotten them', () =>
    withStore(async (store) => {
      const token = newToken();
      await store.issue(token);
      await store.peek(token.id);
      await redis.cli('SCRIPT', 'FLUSH');
      const answers = await Promise.all([
        ...Array.from({ length: 20 }, () => store.burn({ ...HELD, ...token, sessionId: newSessionId() })),
        store.peek(token.id),
      ]);
      expect(answers.filter((answer) => typeof answer === 'object' && answer.burned)).toHaveLength(1);
      await redis.cli('SCRIPT', 'FLUSH');
      expect(await store.revoke(token.id)).toBe('active');
    }));
});

describe('a store that may evict records', () => {
  const warningsAt = async (url: string): Promise<string[]> => {
    const warnings: string[] = [];
    const log = { warn: (_: object, message: string) => void warnings.push(message) };
    await withStore(async (store) => {
      await store.peek(newTokenId());
      await sleep(200);
    }, new RedisTokenStore(url, { log }));
    return warnings;
  };

  const evicting = async (url: string): Promise<string[]> => {
    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    try {
      return await warningsAt(url);
    } finally {
      await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    }
  };

  test('is told, and noeviction is not', async () => {
    expect(await warningsAt(redis.url)).toEqual([]);
    expect(await evicting(redis.url)).toEqual([expect.stringContaining('noeviction')]);
  });

  test('is told to a user who may not use CONFIG as well', async () => {
    await redis.cli('ACL', 'SETUSER', 'gate', 'on', '>s3cret', '~callgate:*', '&callgate:*', '+@all', '-config');
    expect(await evicting(redis.url.replace('//', '//gate:s3cret@'))).toEqual([expect.stringContaining('noeviction')]);
  });
});

describe('a jump of the clock of Redis', () => {
  // Moving the tick's memory of TIME back is what a jump of TIME forward looks like, and the other way round.
  const jump = async (ms: number): Promise<void> => {
    const last = Number(await redis.cli('HGET', 'callgate:clock', 'last'));
    await redis.cli('HSET', 'callgate:clock', 'last', String(last - ms));
  };
  const leaseMs = 3000;
  const openAt = () => new RedisTokenStore(redis.url, { log: silent, leaseMs, tickMs: 100 });

  test.each([
    ['an hour forward', HOUR_MS],
    ['an hour back', -HOUR_MS],
  ])('%s frees no place and loses no session', (_, ms) =>
    withStore(async (store) => {
      const token = newToken({ endpointId: 'ep_jump' });
      const place = { endpointId: 'ep_jump', sessionId: newSessionId() };
      await store.issue(token);
      await store.acquirePlace({ ...place, max: 1 });
      await store.burn({ ...HELD, ...token, sessionId: place.sessionId });
      await jump(ms);
      await sleep(300);
      expect(await store.acquirePlace({ ...place, sessionId: 'sess_new', max: 1 })).toBe(false);
      expect((await store.read(token.id))?.status).toBe('active');
      await store.releasePlace(place);
    }, openAt()),
  );

  test.each([
    ['an hour forward', HOUR_MS],
    ['an hour back', -HOUR_MS],
  ])('%s pins no place beyond its lease', (_, ms) =>
    withStore(async (store) => {
      const endpointId = 'ep_pinned';
      await store.acquirePlace({ endpointId, sessionId: 'sess_dead', max: 1 });
      await jump(ms);
      await sleep(leaseMs + 500);
      expect(await store.acquirePlace({ endpointId, sessionId: 'sess_new', max: 1 })).toBe(true);
      await store.releasePlace({ endpointId, sessionId: 'sess_new' });
    }, openAt()),
  );

  test('a lease further ahead than a fresh one is cut to its length', () =>
    withStore(async (store) => {
      const key = 'callgate:{endpoint:ep_ahead}:places';
      await redis.cli('ZADD', key, String(Date.now() + HOUR_MS), 'sess_dead');
      expect(await store.acquirePlace({ endpointId: 'ep_ahead', sessionId: 'sess_new', max: 1 })).toBe(false);
      await sleep(leaseMs + 500);
      expect(await store.acquirePlace({ endpointId: 'ep_ahead', sessionId: 'sess_new', max: 1 })).toBe(true);
      await store.releasePlace({ endpointId: 'ep_ahead', sessionId: 'sess_new' });
    }, openAt()));

  test('a clock that was lost goes on where the processes are', () =>
    withStore(async (store) => {
      const place = { endpointId: 'ep_lost_clock', sessionId: 'sess_a' };
      await store.acquirePlace({ ...place, max: 1 });
      const before = Number(await redis.cli('HGET', 'callgate:clock', 'steady'));
      await redis.cli('DEL', 'callgate:clock');
      await sleep(300);
      const after = Number(await redis.cli('HGET', 'callgate:clock', 'steady'));
      expect(Math.abs(after - before)).toBeLessThan(10_000);
      await store.releasePlace(place);
    }, openAt()));
});

test('a place that was released leaves no key behind', async () => {
  expect(await redis.cli('KEYS', 'callgate:{endpoint:*')).toBe('');
});

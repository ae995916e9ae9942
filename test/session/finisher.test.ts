import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { Finisher } from '../../src/session/finisher.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { HELD } from '../support/held.ts';
import { TestRedis } from '../support/redis.ts';
import { newSessionId, newToken } from '../support/store-contract.ts';

const silent = { warn: () => undefined };

/** A store with some sessions that are active, and a finisher for it. */
async function setUp(sessions: number) {
  const redis = await TestRedis.start();
  onTestFinished(() => redis.stop());
  const store = new RedisTokenStore(redis.url, { log: silent });
  onTestFinished(() => store.close());
  const finisher = new Finisher(store, silent);
  onTestFinished(() => finisher.close());
  const held = Array.from({ length: sessions }, () => ({ ...newToken(), sessionId: newSessionId() }));
  for (const token of held) {
    await store.issue(token);
    await store.burn({ ...HELD, ...token });
  }
  return { redis, store, finisher, held };
}

test('an end is stored at once while the store is there', async () => {
  const { store, finisher, held } = await setUp(1);
  const [{ id, sessionId }] = held as [(typeof held)[0]];
  expect(await finisher.finish({ ...HELD, id, sessionId, reason: 'completed' })).toBe(true);
  expect(await store.read(id)).toMatchObject({ status: 'completed', session: { endReason: 'completed' } });
  expect(finisher.size).toBe(0);
  expect(await finisher.idle(0)).toBe(true);
});

test('ends during an outage are stored once it is over', async () => {
  const { redis, store, finisher, held } = await setUp(150);
  redis.pause();
  const ends = held.map(({ id, sessionId }) => finisher.finish({ ...HELD, id, sessionId, reason: 'client_lost' }));
  expect(await finisher.idle(50)).toBe(false);
  await sleep(2500);
  expect(finisher.size).toBe(150);
  redis.resume();
  expect(await finisher.idle(20_000)).toBe(true);
  expect((await Promise.all(ends)).every(Boolean)).toBe(true);
  const records = await Promise.all(held.map(({ id }) => store.read(id)));
  expect(records.every((record) => record?.session?.endReason === 'client_lost')).toBe(true);
});

test('an end whose first answer was lost is the end, and one that another node has told is not', async () => {
  const { store, held } = await setUp(2);
  const [{ id, sessionId }, other] = held as [(typeof held)[0], (typeof held)[0]];
  let lost = false;
  const losing = {
    isAway: () => false,
    read: (token: string) => store.read(token),
    finish: async (end: Parameters<typeof store.finish>[0]) => {
      const stored = await store.finish(end);
      if (lost) return stored;
      lost = true;
      throw new CallgateError('unavailable');
    },
  };
  const finisher = new Finisher(losing, silent);
  onTestFinished(() => finisher.close());
  expect(await finisher.finish({ ...HELD, id, sessionId, reason: 'expired' })).toBe(true);
  await store.burn({ ...HELD, ...other, node: 'n_bbbbbbbb' });
  expect(await finisher.finish({ ...HELD, id: other.id, sessionId: other.sessionId, reason: 'expired' })).toBe(false);
});

test('an end whose record is lost is the end', async () => {
  const { redis, finisher, held } = await setUp(1);
  const [{ id, sessionId }] = held as [(typeof held)[0]];
  await redis.cli('FLUSHALL');
  expect(await finisher.finish({ ...HELD, id, sessionId, reason: 'expired' })).toBe(true);
});

test('closing it lets nobody wait for a store that is gone', async () => {
  const { redis, finisher, held } = await setUp(1);
  const [{ id, sessionId }] = held as [(typeof held)[0]];
  await redis.kill();
  const end = finisher.finish({ ...HELD, id, sessionId, reason: 'expired' });
  finisher.close();
  await end;
  expect(finisher.size).toBe(0);
});

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
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
  await finisher.finish({ ...HELD, id, sessionId, reason: 'completed' });
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
  await Promise.all(ends);
  const records = await Promise.all(held.map(({ id }) => store.read(id)));
  expect(records.every((record) => record?.session?.endReason === 'client_lost')).toBe(true);
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

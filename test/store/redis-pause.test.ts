import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { HELD } from '../support/held.ts';
import { TestRedis } from '../support/redis.ts';
import { newSessionId, newToken } from '../support/store-contract.ts';

/** Longer than a call may take and than a connection may be silent. */
const PAUSE_MS = 2500;

test('an answer that came while the process stood still is no outage', async () => {
  const redis = await TestRedis.start();
  onTestFinished(() => redis.stop());
  const store = new RedisTokenStore(redis.url, { log: { warn: () => undefined } });
  onTestFinished(() => store.close());
  const token = newToken();
  await store.issue(token);

  const burning = store.burn({ ...HELD, id: token.id, endpointId: token.endpointId, sessionId: newSessionId() });
  // The command has left by then.
  await nextTurn();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  expect(await burning).toMatchObject({ burned: true });
  expect(store.ready).toBe(true);
});

import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { HELD } from '../support/held.ts';
import { freePort } from '../support/ports.ts';
import { TestRedis } from '../support/redis.ts';
import { newSessionId, newToken } from '../support/store-contract.ts';

const silent = { warn: () => undefined };

/** The promise of 2 s, with room for a machine that is busy with other tests. */
const SLACK_MS = 1500;

/** Every call of a store that is away, with what it rejected with and the longest that one took. */
async function outcomes(store: RedisTokenStore): Promise<{ errors: CallgateError[]; longest: number }> {
  const id = newTokenId();
  const place = { endpointId: 'ep_echo', sessionId: newSessionId() };
  const started = performance.now();
  const calls = [
    store.issue(newToken()),
    store.burn({ ...HELD, id, ...place }),
    store.peek(id),
    store.read(id),
    store.finish({ ...HELD, id, sessionId: place.sessionId, reason: 'completed' }),
    store.revoke(id),
    store.acquirePlace({ ...place, max: 1 }),
    store.releasePlace(place),
    store.renew([{ ...HELD, tokenId: id, ...place }]),
  ];
  const errors = await Promise.all(calls.map((call) => call.then(() => new CallgateError('internal_error'), asError)));
  return { errors, longest: performance.now() - started };
}

const asError = (error: unknown): CallgateError => {
  if (error instanceof CallgateError) return error;
  throw error;
};

/** Waits until the store answers again and returns how long that took. */
async function recovery(store: RedisTokenStore): Promise<number> {
  const started = performance.now();
  while (!store.ready && performance.now() - started < 20_000) await sleep(20);
  await store.issue(newToken());
  return performance.now() - started;
}

describe('while Redis is away', () => {
  let redis: TestRedis;
  let store: RedisTokenStore;
  beforeEach(async () => {
    redis = await TestRedis.start();
    store = new RedisTokenStore(redis.url, { log: silent, tickMs: 500 });
    await store.peek(newTokenId());
    expect(store.ready).toBe(true);
  });
  afterEach(async () => {
    await store.close();
    await redis.stop();
  });

  test('a paused server makes every call unavailable within 2 s, and is used again when it wakes', async () => {
    redis.pause();
    const { errors, longest } = await outcomes(store);
    expect(errors.map(({ code }) => code)).toEqual(errors.map(() => 'unavailable'));
    // They were written to a socket, and may still happen when the server wakes.
    expect(errors.map(({ retryable }) => retryable)).toEqual(errors.map(() => false));
    expect(longest).toBeLessThan(2000 + SLACK_MS);
    expect(store.ready).toBe(false);
    await sleep(2500);
    redis.resume();
    expect(await recovery(store)).toBeLessThan(2000 + SLACK_MS);
  });

  test('a dead server makes every call unavailable and retryable, and is used again when it is back', async () => {
    await redis.kill();
    await sleep(100);
    const { errors, longest } = await outcomes(store);
    expect(errors.map(({ code }) => code)).toEqual(errors.map(() => 'unavailable'));
    expect(errors.map(({ retryable }) => retryable)).toEqual(errors.map(() => true));
    expect(longest).toBeLessThan(2000 + SLACK_MS);
    expect(store.ready).toBe(false);
    await redis.boot();
    expect(await recovery(store)).toBeLessThan(2000 + SLACK_MS);
  });

  test('a burn whose reply was lost behind a pause is won when the server wakes in time', async () => {
    const token = newToken();
    await store.issue(token);
    redis.pause();
    const burn = store.burn({ ...HELD, ...token, sessionId: 'sess_a' });
    await sleep(900);
    redis.resume();
    expect(await burn).toMatchObject({ burned: true });
    expect(await store.burn({ ...HELD, ...token, sessionId: 'sess_b' })).toEqual({
      burned: false,
      refusal: 'token_used',
    });
  });

  test('closing the store ends what is waiting', async () => {
    await redis.kill();
    const waiting = store.peek(newTokenId()).catch(asError);
    await store.close();
    expect(await waiting).toMatchObject({ code: 'unavailable' });
  });
});

test('a store that never was there is told once, without the password, and found when it comes', async () => {
  const lines: string[] = [];
  const log = { warn: (fields: object, message: string) => void lines.push(JSON.stringify(fields) + message) };
  const port = await freePort();
  const store = new RedisTokenStore(`redis://gate:hunter2@127.0.0.1:${port}`, { log });
  const { errors, longest } = await outcomes(store);
  expect(errors.every(({ code, retryable }) => code === 'unavailable' && retryable)).toBe(true);
  expect(longest).toBeLessThan(2000 + SLACK_MS);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('ECONNREFUSED');
  expect(lines.join()).not.toContain('hunter2');
  await store.close();
});

test('a wrong password is told by its code alone', async () => {
  const redis = await TestRedis.start();
  onTestFinished(() => redis.stop());
  await redis.cli('CONFIG', 'SET', 'requirepass', 'right-secret');
  const lines: string[] = [];
  const log = { warn: (fields: object, message: string) => void lines.push(JSON.stringify(fields) + message) };
  const store = new RedisTokenStore(redis.url.replace('//', '//:wrong-secret@'), { log });
  const error = await store.peek(newTokenId()).catch(asError);
  expect(error).toMatchObject({ code: 'unavailable', retryable: true });
  expect(lines[0]).toContain('WRONGPASS');
  expect(lines.join() + JSON.stringify(error) + String((error as Error).cause)).not.toContain('secret');
  await store.close();
});

test('a black hole that accepts connections and never answers makes every call unavailable within 2 s', async () => {
  const sockets = new Set<Socket>();
  const hole = createServer((socket) => sockets.add(socket.on('error', () => undefined).resume()));
  await new Promise<void>((resolve) => hole.listen(0, '127.0.0.1', resolve));
  const { port } = hole.address() as AddressInfo;
  const store = new RedisTokenStore(`redis://127.0.0.1:${port}`, { log: silent });
  const { errors, longest } = await outcomes(store);
  expect(errors.every(({ code, retryable }) => code === 'unavailable' && retryable)).toBe(true);
  expect(longest).toBeLessThan(2000 + SLACK_MS);
  await store.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => hole.close(resolve));
});

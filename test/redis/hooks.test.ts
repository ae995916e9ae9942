import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import { comeBack } from '../../src/redis/come-back.ts';
import { createRedis } from '../../src/redis/connection.ts';
import { checkStreams } from '../../src/redis/stream-errors.ts';
import { TestRedis } from '../support/redis.ts';

let server: TestRedis;
beforeAll(async () => {
  server = await TestRedis.start();
});
afterAll(() => server.stop());

const warnings: object[] = [];
const log = { warn: (fields: object) => void warnings.push(fields) };
beforeEach(() => void warnings.splice(0));

const own = (client: Redis): Redis => {
  onTestFinished(() => client.disconnect());
  return client;
};
/** ioredis keeps it to itself. */
const connectorOf = (client: object) => (client as { connector: { disconnect(): void } }).connector;
const happens = (client: Redis, event: string) => new Promise((resolve) => client.once(event, resolve));
const open = (): Redis => new Redis(server.port, { lazyConnect: true });

it('a stream to Redis that emits one error more ends nothing', async () => {
  const client = own(createRedis(server.url, log) as Redis);
  await happens(client, 'ready');
  for (const _ of [1, 2, 3]) client.stream.emit('error', new Error('one of several'));
  expect(warnings.filter((fields) => 'hook' in fields)).toEqual([]);
});

it('a stream that comes about in another way is warned of', async () => {
  const client = own(checkStreams(open(), log));
  Object.defineProperty(connectorOf(client), 'stream', { writable: true, value: undefined });
  await client.connect();
  expect(warnings).toEqual([{ library: 'ioredis', hook: 'errors of streams' }]);
});

it('a client that ended although nobody asked connects again, and one that was asked does not', async () => {
  const client = own(createRedis(server.url, log) as Redis);
  const ended = happens(client, 'end');
  // As when a failover is announced while it looks for its master.
  connectorOf(client).disconnect();
  await ended;
  await happens(client, 'ready');
  client.disconnect();
  await happens(client, 'end');
  await delay(500);
  expect(client.status).toBe('end');
  expect(warnings.filter((fields) => 'hook' in fields)).toEqual([]);
});

it('an end after which ioredis goes on by itself is warned of', async () => {
  const client = own(comeBack(open(), () => 1, log));
  await client.connect();
  client.emit('end');
  await expect.poll(() => warnings).toEqual([{ library: 'ioredis', hook: 'connecting again after its end' }]);
});

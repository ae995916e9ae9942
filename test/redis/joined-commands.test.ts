import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRedis } from '../../src/redis/connection.ts';
import { TestRedis } from '../support/redis.ts';

let server: TestRedis;
let client: Redis;
const warnings: unknown[] = [];
beforeEach(async () => {
  server = await TestRedis.start();
  client = createRedis(server.url, { warn: (fields) => void warnings.push(fields) }) as Redis;
  await once(client, 'ready');
});
afterEach(async () => {
  client.disconnect();
  await server.stop();
});

it('the commands of one turn reach Redis a few in a write', async () => {
  const stream = client.stream as Writable & { _writev: NonNullable<Writable['_writev']> };
  const counts: number[] = [];
  const { _writev } = stream;
  stream._writev = (chunks, done) => {
    counts.push(chunks.length);
    _writev.call(stream, chunks, done);
  };
  await Promise.all(Array.from({ length: 8 }, () => client.get('a')));
  expect(Math.max(...counts)).toBe(8);
  expect(warnings).toEqual([]);
});

it('what came is read before a silent connection is closed', async () => {
  const { stream } = client;
  stream.destroy(new Error('Socket timeout'));
  expect(stream.destroyed).toBe(false);
  // Its error, which comes before, is the one that it was destroyed with.
  await new Promise((resolve) => stream.once('close', resolve));
});

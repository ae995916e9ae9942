import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AUDIT_STREAM, AuditStream } from '../../src/telemetry/audit-stream.ts';
import { TestRedis } from '../support/redis.ts';

const QUEUE = 10_000;

describe('the audit stream', () => {
  let redis: TestRedis;
  let stream: AuditStream;
  let dropped: number;
  const open = (maxLength = 100_000) => {
    dropped = 0;
    stream = new AuditStream(redis.url, {
      log: { warn: () => {} },
      maxLength,
      losses: { auditDropped: () => dropped++ },
    });
  };
  const length = async () => Number(await redis.cli('XLEN', AUDIT_STREAM));
  beforeEach(async () => {
    redis = await TestRedis.start();
  });
  afterEach(async () => {
    await stream.close();
    await redis.stop();
  });

  it('holds the events in their order, without the fields that they do not have', async () => {
    open();
    for (const name of ['a', 'b', 'c']) stream.add({ event: name, team: undefined });
    await expect.poll(length).toBe(3);
    const fields = (await redis.cli('XRANGE', AUDIT_STREAM, '-', '+')).split('\n').filter((_, line) => line % 3 !== 0);
    expect(fields).toEqual(['event', 'a', 'event', 'b', 'event', 'c']);
  });

  it('is capped', async () => {
    open(100);
    for (let i = 0; i < 2000; i++) stream.add({ event: 'refusal' });
    stream.add({ event: 'last' });
    const newest = () => redis.cli('XREVRANGE', AUDIT_STREAM, '+', '-', 'COUNT', '1');
    await expect.poll(newest, { timeout: 10_000 }).toContain('last');
    expect(dropped).toBe(0);
    // Redis trims whole nodes, of 100 entries each.
    expect(await length()).toBeLessThanOrEqual(200);
  });

  it('keeps a bounded number of events while Redis is away, counts the rest, and writes them when it is back', async () => {
    open();
    stream.add({ event: 'first' });
    await expect.poll(length).toBe(1);
    await redis.kill();
    for (let i = 0; i < QUEUE + 5; i++) stream.add({ event: 'mint' });
    expect(dropped).toBe(5);
    await redis.boot();
    await expect.poll(length, { timeout: 15_000 }).toBeGreaterThanOrEqual(QUEUE);
    expect(dropped).toBe(5);
  });

  it('keeps room for what happened to tokens and calls when refusals flood it', async () => {
    open();
    stream.add({ event: 'first' });
    await expect.poll(length).toBe(1);
    await redis.kill();
    for (let i = 0; i < 2 * QUEUE; i++) stream.add({ event: 'refusal' });
    const left = dropped;
    for (let i = 0; i < QUEUE / 2; i++) stream.add({ event: i % 2 === 0 ? 'mint' : 'end' });
    expect([left, dropped]).toEqual([1.5 * QUEUE, 1.5 * QUEUE]);
    await redis.boot();
    await expect.poll(length, { timeout: 15_000 }).toBeGreaterThanOrEqual(QUEUE);
    // There is room for others again.
    stream.add({ event: 'refusal' });
    expect(dropped).toBe(1.5 * QUEUE);
  });

  it('goes on after Redis has refused a write', async () => {
    await redis.cli('SET', AUDIT_STREAM, 'in the way');
    open();
    stream.add({ event: 'mint' });
    await redis.cli('PING');
    await redis.cli('DEL', AUDIT_STREAM);
    await expect.poll(length, { timeout: 10_000 }).toBe(1);
  });

  it('counts what it cannot write any more when it is closed', async () => {
    open();
    await redis.kill();
    for (let i = 0; i < 3; i++) stream.add({ event: 'end' });
    await stream.close();
    stream.add({ event: 'too late' });
    expect(dropped).toBe(4);
  });
});

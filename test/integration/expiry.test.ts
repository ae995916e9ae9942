import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeAnswer } from '../../src/peer/sdp/answer.ts';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { startCall } from '../support/ws-client.ts';

const SESSIONS = 1000;
const AT_ONCE = 20;
/** What the first session may last; each later one gets less, so that all end together. */
const LONGEST_SECONDS = 24;
/** How long it takes until all of them have ended. */
const WITHIN_SECONDS = 3;

describe('the expiry of 1,000 sessions at once', () => {
  let redis: TestRedis;
  let deployment: Deployment;
  let server: ServerProcess;

  beforeAll(async () => {
    redis = await TestRedis.start();
    // Media never flows in half of these calls, and the other half is never answered.
    const session = { answer_timeout_ms: 120_000, connect_timeout_ms: 120_000 };
    deployment = await Deployment.create({ redisUrl: redis.url, settings: { session } });
    server = await deployment.server();
  });

  afterAll(async () => {
    try {
      await deployment?.stop();
    } finally {
      await redis?.stop();
    }
  });

  /** Opens a session that ends with all others; `late` resolves to how late its end was told, in milliseconds. */
  const open = async (index: number, beganAt: number): Promise<{ late: Promise<number> }> => {
    const elapsed = (performance.now() - beganAt) / 1000;
    const duration = Math.max(LONGEST_SECONDS - WITHIN_SECONDS * Math.floor(elapsed / WITHIN_SECONDS), 12);
    const { token } = await deployment.mint(server, 'ep_echo', { max_duration_seconds: duration });
    const beforeStart = performance.now();
    const socket = await startCall(
      server.wsUrl,
      { token, endpoint_id: 'ep_echo' },
      { early: index % 2 === 0, timeoutMs: (LONGEST_SECONDS + 10) * 1000 },
    );
    const offer = await socket.expect('offer');
    const dueAt = performance.now() + offer.session.expires_in_ms;
    if (index % 2 === 0) socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: writeAnswer(offer.sdp) });
    const late = socket.skipTo('ended').then(async ({ reason }) => {
      const toldAt = performance.now();
      expect(reason).toBe('expired');
      // Never early; timers fire up to a millisecond before their time.
      expect(toldAt - beforeStart).toBeGreaterThan(duration * 1000 - 5);
      expect((await socket.closing()).code).toBe(1000);
      return toldAt - dueAt;
    });
    return { late };
  };

  it('is told on time', { timeout: 150_000 }, async () => {
    const beganAt = performance.now();
    const indexes = Array.from({ length: SESSIONS }, (_, index) => index).values();
    const ends: Promise<number>[] = [];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const index of indexes) {
          ends.push((await open(index, beganAt)).late);
        }
      }),
    );
    const opened = performance.now() - beganAt;
    const late = (await Promise.all(ends)).sort((a, b) => a - b);
    const at = (share: number): number => Math.round(late[Math.ceil(share * SESSIONS) - 1]!);
    console.info(
      `1,000 sessions opened in ${Math.round(opened)} ms; expiry late by ` +
        `min ${at(0.001)}, median ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, max ${at(1)} ms`,
    );
    // Not the slowest: a test machine may be busy with something else for a moment.
    expect(at(0.99)).toBeLessThanOrEqual(250);

    await delay(500);
    expect(await redis.cli('ZCARD', 'callgate:{endpoint:ep_echo}:places')).toBe('0');
  });
});

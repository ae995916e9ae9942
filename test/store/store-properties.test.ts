import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { END_REASONS } from '../../src/protocol/codes.ts';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { TokenStore } from '../../src/store/store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { HELD } from '../support/held.ts';
import { TestRedis } from '../support/redis.ts';
import { newToken } from '../support/store-contract.ts';

const silent = { warn: () => undefined };
let redis: TestRedis;
let stores: RedisTokenStore[];
beforeAll(async () => {
  redis = await TestRedis.start();
  stores = Array.from({ length: 3 }, () => new RedisTokenStore(redis.url, { log: silent }));
});
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await redis.stop();
});

/** One step of somebody; `token` 0 is good for a minute, 1 has expired, 2 and 3 are what 0 may be refreshed to. */
const step = fc.record({
  kind: fc.constantFrom('burn', 'burn', 'burn', 'finish', 'revoke', 'refresh', 'refresh', 'peek', 'read'),
  token: fc.constantFrom(0, 0, 0, 1, 2, 3),
  successor: fc.constantFrom(2, 3),
  session: fc.constantFrom('sess_a', 'sess_b', 'sess_c'),
  endpoint: fc.constantFrom('ep_echo', 'ep_echo', 'ep_echo', 'ep_other'),
  reason: fc.constantFrom(...END_REASONS),
  connection: fc.nat(2),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A family: two tokens to begin with, and two successors. */
function newFamily(): string[] {
  const first = newTokenId();
  const next = () => newTokenId(first.split('_')[1]);
  return [first, next(), next(), next()];
}

async function issueBoth(store: TokenStore, ids: string[]): Promise<void> {
  await store.issue(newToken({ id: ids[0]! }));
  await store.issue(newToken({ id: ids[1]!, ttlSeconds: 0.001 }));
}

/** What a step answers, without times. */
async function take(
  store: TokenStore,
  ids: string[],
  { kind, token, successor, session, endpoint, reason }: Step,
): Promise<string> {
  const id = ids[token]!;
  switch (kind) {
    case 'burn': {
      const result = await store.burn({ ...HELD, id, endpointId: endpoint, sessionId: session });
      return result.burned ? 'burned' : result.refusal;
    }
    case 'finish':
      return String(await store.finish({ ...HELD, id, sessionId: session, reason }));
    case 'revoke':
      return store.revoke(id);
    case 'refresh': {
      // Only the first two are refreshed, so that every successor has one ancestor.
      const refresh = { id: ids[token % 2]!, successorId: ids[successor]!, team: 'team_demo' };
      const result = await store.refresh(refresh);
      return result.refreshed ? 'refreshed' : result.refusal;
    }
    case 'peek':
      return (await store.peek(id)) ?? 'free';
    default: {
      const record = await store.read(id);
      return [record?.status, record?.session?.id, record?.session?.endReason, record?.revokedAt !== undefined].join();
    }
  }
}

test('whatever is asked in whatever order, Redis and memory answer alike', { retry: 0 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const memory = new MemoryTokenStore();
      const ids = newFamily();
      await Promise.all([issueBoth(memory, ids), issueBoth(stores[0]!, ids)]);
      await sleep(5);
      for (const one of steps) {
        expect(await take(stores[one.connection]!, ids, one)).toBe(await take(memory, ids, one));
      }
      await memory.close();
    }),
    { numRuns: 60 },
  );
});

test('whatever happens at the same time, every history is legal', { retry: 0 }, async () => {
  const rounds = fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(rounds, async (history) => {
      const ids = newFamily();
      await issueBoth(stores[0]!, ids);
      await sleep(5);
      const answers: { round: number; step: Step; answer: string }[] = [];
      for (const [round, steps] of history.entries()) {
        await Promise.all(
          steps.map(async (one) => {
            answers.push({ round, step: one, answer: await take(stores[one.connection]!, ids, one) });
          }),
        );
      }
      const of = (kind: string, token: number, answer?: string) =>
        answers.filter((a) => a.step.kind === kind && a.step.token === token && (!answer || a.answer === answer));

      expect(of('burn', 1, 'burned')).toEqual([]);
      expect(of('burn', 1).every((a) => ['token_expired', 'token_unknown'].includes(a.answer))).toBe(true);
      const refreshes = answers.filter((a) => a.step.kind === 'refresh' && a.answer === 'refreshed');
      const successors = new Set(refreshes.map((a) => a.step.successor));
      // Only the token that was good is refreshed, and to one successor.
      expect(refreshes.every((a) => a.step.token % 2 === 0)).toBe(true);
      expect(successors.size).toBeLessThanOrEqual(1);

      for (const token of [0, 2, 3]) {
        const wins = of('burn', token, 'burned');
        const winners = new Set(wins.map((a) => a.step.session));
        const revoked = [...of('revoke', token, 'revoked'), ...(token === 0 ? refreshes : [])];
        const finished = of('finish', token, 'true');
        expect(winners.size).toBeLessThanOrEqual(1);
        expect(wins.every((a) => a.step.endpoint === 'ep_echo')).toBe(true);
        // A token is burned, or revoked or refreshed unused, never both.
        if (wins.length > 0) expect(revoked).toEqual([]);
        if (of('burn', token, 'token_used').length > 0) expect(winners.size).toBe(1);
        if (of('burn', token, 'token_revoked').length > 0) expect(revoked.length).toBeGreaterThan(0);
        // Only the winner ends it, once, and no yes follows its end.
        expect(finished.length).toBeLessThanOrEqual(1);
        for (const end of finished) {
          expect(winners).toContain(end.step.session);
          expect(wins.filter((win) => win.round > end.round)).toEqual([]);
        }
        const last = (await stores[0]!.read(ids[token]!))?.status;
        const expected = finished.length > 0 ? 'completed' : wins.length > 0 ? 'active' : undefined;
        const isThere = token === 0 || [...successors].some((successor) => successor === token);
        expect(last).toBe(expected ?? (revoked.length > 0 ? 'revoked' : isThere ? 'issued' : undefined));
      }
    }),
    { numRuns: 100 },
  );
});

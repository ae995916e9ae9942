import { describe, expect, onTestFinished, test } from 'vitest';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { HeldSession, TokenStore } from '../../src/store/store.ts';
import { newSessionId } from '../../src/tokens/session-id.ts';
import { TestRedis } from '../support/redis.ts';
import { burnAs, burnedSession, endOf } from '../support/sessions-contract.ts';
import { newToken, TEST_LEASE_MS } from '../support/store-contract.ts';

const DAY_MS = 86_400_000;
const unavailable = { code: 'unavailable', retryable: true };

interface Listening {
  store: RedisTokenStore;
  moved: string[];
  revoked: string[];
}

const startRedis = async (): Promise<TestRedis> => {
  const redis = await TestRedis.start();
  onTestFinished(() => redis.stop());
  return redis;
};
/** A process on this Redis; its leases outlast a failover. */
const openStore = (redis: TestRedis, leaseMs = 10_000): Listening => {
  const store = new RedisTokenStore(redis.url, { log: { warn: () => undefined }, leaseMs, tickMs: 100 });
  const [moved, revoked] = [[] as string[], [] as string[]];
  store.onSessions({
    revoked: (id) => void revoked.push(id),
    moved: (id) => void moved.push(id),
    missed: () => undefined,
  });
  onTestFinished(() => store.close());
  return { store, moved, revoked };
};
/** A Redis that comes back from a snapshot, and so has forgotten what was written after that. */
const forget = async (redis: TestRedis, stores: Listening[], work: () => Promise<unknown>): Promise<void> => {
  await redis.cli('SAVE');
  await work();
  await redis.kill();
  await redis.boot();
  await expect.poll(() => stores.every(({ store }) => store.ready), { timeout: 10_000 }).toBe(true);
};
const adopt = (store: TokenStore, { sessionId, node, epoch }: HeldSession, ticket: string) =>
  store.adopt({ sessionId, node: 'n_bbbbbbbb', from: { node, epoch }, ticket, successor: 't9' });
const adopted = async (store: TokenStore, session: HeldSession, ticket = 't1'): Promise<HeldSession> => {
  const result = await adopt(store, session, ticket);
  if (!result.adopted) throw new Error(result.refusal);
  return { ...session, node: 'n_bbbbbbbb', epoch: result.epoch, tickets: result.tickets };
};
const burnAgain = (store: TokenStore, { tokenId: id, endpointId }: HeldSession) =>
  store.burn({ id, endpointId, sessionId: newSessionId(id), node: 'n_cccccccc', tickets: [], resume: '' });

describe('a burn that a failover forgot', () => {
  const forgottenBurn = async () => {
    const redis = await startRedis();
    const owner = openStore(redis);
    const token = newToken({ maxDurationSeconds: 1000 });
    await owner.store.issue(token);
    let session!: HeldSession;
    await forget(redis, [owner], async () => {
      session = await burnAs(owner.store, token);
    });
    expect((await owner.store.read(session.tokenId))?.status).toBe('expired');
    return { redis, owner, session };
  };

  test('is written again with the next renewal, with its times, and is won by nobody else', async () => {
    const { redis, owner, session } = await forgottenBurn();
    const { tokenId, sessionId, startedAt, expiresAt } = session;
    expect(await burnAgain(owner.store, session)).toEqual({ burned: false, refusal: 'token_unknown' });
    await owner.store.renew([session]);
    expect(await owner.store.read(tokenId)).toMatchObject({
      status: 'active',
      session: { id: sessionId, startedAt, expiresAt },
    });
    expect(await owner.store.owner(sessionId)).toMatchObject({
      node: session.node,
      epoch: 1,
      tickets: session.tickets,
    });
    expect(await burnAgain(owner.store, session)).toEqual({ burned: false, refusal: 'token_used' });
    const [, family, random] = tokenId.split('_');
    expect(Number(await redis.cli('PTTL', `callgate:{${family}}:${random}`))).toBeGreaterThan(DAY_MS + 900_000);
    expect(await owner.store.finish(endOf(session))).toBe(true);
    expect([owner.moved, owner.revoked]).toEqual([[], []]);
  });

  test('does not turn away a client that comes back meanwhile', async () => {
    const { redis, owner, session } = await forgottenBurn();
    const other = openStore(redis);
    await expect(other.store.owner(session.sessionId)).rejects.toMatchObject(unavailable);
    await expect(adopt(other.store, session, 't1')).rejects.toMatchObject(unavailable);
    await owner.store.save(session);
    expect(await adopt(other.store, session, 't1')).toMatchObject({ adopted: true, expiresAt: session.expiresAt });
  });

  test('may be revoked meanwhile: the renewal tells', async () => {
    const { owner, session } = await forgottenBurn();
    expect(await owner.store.revoke(session.tokenId)).toBe('ended');
    await owner.store.renew([session]);
    expect(owner.revoked).toContain(session.sessionId);
    expect(await owner.store.read(session.tokenId)).toMatchObject({ status: 'active', revokedAt: expect.any(Number) });
  });

  test('has its end stored all the same', async () => {
    const { owner, session } = await forgottenBurn();
    const { tokenId, sessionId, startedAt, expiresAt } = session;
    expect(await owner.store.finish(endOf(session))).toBe(true);
    expect(await owner.store.read(tokenId)).toMatchObject({
      status: 'completed',
      session: { id: sessionId, startedAt, expiresAt, endReason: 'completed' },
    });
    expect(await owner.store.finish(endOf(session))).toBe(false);
  });

  test('may be let go of', async () => {
    const { owner, session } = await forgottenBurn();
    expect(await owner.store.leave(session)).toBe(true);
    expect(await owner.store.owner(session.sessionId)).toMatchObject({ node: '', epoch: 1 });
  });
});

test('a rotation that a failover forgot is no theft, and is written again with the next renewal', async () => {
  const redis = await startRedis();
  const [owner, other] = [openStore(redis), openStore(redis)];
  const session = await burnedSession(owner.store);
  const rotated = { ...session, tickets: ['t2', 't1'] };
  await forget(redis, [owner, other], () => owner.store.save(rotated));
  expect(await adopt(other.store, session, 't2')).toEqual({ adopted: false, refusal: 'gone' });
  await owner.store.renew([rotated]);
  expect(await adopt(other.store, session, 't2')).toMatchObject({ adopted: true, tickets: ['t9', 't2', 't1'] });
});

describe('an adoption that a failover forgot', () => {
  const forgottenAdoption = async () => {
    const redis = await startRedis();
    const [frozen, adopter] = [openStore(redis), openStore(redis)];
    const session = await burnedSession(frozen.store);
    let own!: HeldSession;
    await forget(redis, [frozen, adopter], async () => {
      own = await adopted(adopter.store, session);
    });
    expect(await adopter.store.owner(session.sessionId)).toMatchObject({ node: session.node, epoch: 1 });
    return { frozen, adopter, session, own };
  };

  test('is written again by its node, and whoever wakes up as the owner before finds that it has moved', async () => {
    const { frozen, adopter, session, own } = await forgottenAdoption();
    await adopter.store.renew([own]);
    await frozen.store.renew([session]);
    expect([frozen.moved, adopter.moved]).toEqual([[session.sessionId], []]);
    expect(await frozen.store.finish(endOf(session))).toBe(false);
    expect(await adopter.store.owner(session.sessionId)).toMatchObject({
      node: own.node,
      epoch: 2,
      tickets: own.tickets,
    });
  });

  test('is written again although the owner before woke up first, who then finds that it has moved', async () => {
    const { frozen, adopter, session, own } = await forgottenAdoption();
    await frozen.store.renew([session]);
    await adopter.store.renew([own]);
    await frozen.store.renew([session]);
    expect([frozen.moved, adopter.moved]).toEqual([[session.sessionId], []]);
    expect(await adopter.store.finish(endOf(own))).toBe(true);
  });

  test('is remembered by the end that its node stores', async () => {
    const { frozen, adopter, session, own } = await forgottenAdoption();
    expect(await adopter.store.finish({ ...endOf(own), reason: 'expired' })).toBe(true);
    await frozen.store.renew([session]);
    expect(frozen.moved).toEqual([session.sessionId]);
    expect((await frozen.store.read(session.tokenId))?.session?.endReason).toBe('expired');
  });
});

test('a replica promoted without burn and adoption has both again after one renewal', async () => {
  const [master, replica] = await Promise.all([startRedis(), startRedis()]);
  await replica.follow(master);
  const before = openStore(master);
  const token = newToken();
  await before.store.issue(token);
  await master.replicated();
  // Promoted behind the master's back, which still takes the burn: the replica never hears of it.
  await replica.cli('REPLICAOF', 'NO', 'ONE');
  const session = await burnAs(before.store, token);
  const own = await adopted(before.store, session);
  await master.kill();

  const after = openStore(replica);
  await after.store.renew([own]);
  expect(await after.store.owner(session.sessionId)).toMatchObject({ node: own.node, epoch: 2, tickets: ['t9', 't1'] });
  await after.store.renew([session]);
  expect(after.moved).toEqual([session.sessionId]);
});

test('an owner that was frozen for longer than its lease finds its session moved, and its place another’s', async () => {
  const redis = await startRedis();
  const [frozen, adopter] = [openStore(redis, TEST_LEASE_MS), openStore(redis, TEST_LEASE_MS)];
  const session = await burnedSession(frozen.store, { endpointId: 'ep_frozen' });
  await frozen.store.acquirePlace({ ...session, max: 1 });
  const own = await adopted(adopter.store, session);
  await adopter.store.renew([own]);
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, TEST_LEASE_MS / 2));
    await adopter.store.renew([own]);
  }
  expect(await adopter.store.finish(endOf(own))).toBe(true);
  await adopter.store.releasePlace(own);
  // It wakes up.
  await frozen.store.renew([session]);
  expect(frozen.moved).toEqual([session.sessionId]);
  expect(await frozen.store.finish({ ...endOf(session), reason: 'client_lost' })).toBe(false);
  expect((await frozen.store.read(session.tokenId))?.session?.endReason).toBe('completed');
  expect(await redis.cli('KEYS', 'callgate:{endpoint:*')).toBe('');
});

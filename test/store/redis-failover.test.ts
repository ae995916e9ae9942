import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Finisher } from '../../src/session/finisher.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { HELD } from '../support/held.ts';
import { describeLifecycle } from '../support/lifecycle-contract.ts';
import { startCluster, TestRedis } from '../support/redis.ts';
import { describeSessions } from '../support/sessions-contract.ts';
import { describeTokenStore, newSessionId, newToken, TEST_LEASE_MS } from '../support/store-contract.ts';

const silent = { warn: () => undefined };
const startRedis = async (): Promise<TestRedis> => {
  const redis = await TestRedis.start();
  onTestFinished(() => redis.stop());
  return redis;
};
const openStore = (url: string, leaseMs?: number): RedisTokenStore => {
  const store = new RedisTokenStore(url, { log: silent, ...(leaseMs && { leaseMs }) });
  onTestFinished(() => store.close());
  return store;
};
const unknown = { burned: false, refusal: 'token_unknown' };

/** Burns until the store answers: what is asked here is its word, not its availability. */
async function burnWhenBack(store: RedisTokenStore, burn: Parameters<RedisTokenStore['burn']>[0]) {
  for (let attempt = 0; attempt < 20; attempt++) {
    const result = await store.burn(burn).catch(() => undefined);
    if (result) return result;
  }
  throw new Error('the store did not come back');
}

test('a restart from a snapshot taken before the burn makes no second winner', async () => {
  const redis = await startRedis();
  const store = openStore(redis.url);
  const [burned, unused] = [newToken(), newToken()];
  await store.issue(burned);
  await store.issue(unused);
  await redis.cli('SAVE');
  expect(await store.burn({ ...HELD, ...burned, sessionId: 'sess_a' })).toMatchObject({ burned: true });
  await redis.kill();
  await redis.boot();

  expect(await burnWhenBack(store, { ...HELD, ...burned, sessionId: 'sess_b' })).toEqual(unknown);
  expect(await store.burn({ ...HELD, ...burned, sessionId: 'sess_a' })).toEqual(unknown);
  expect(await store.burn({ ...HELD, ...unused, sessionId: 'sess_c' })).toEqual(unknown);
  expect(await store.peek(burned.id)).toBe('token_unknown');
  expect((await store.read(burned.id))?.status).toBe('expired');
  expect(await store.revoke(burned.id)).toBe('ended');

  const fresh = newToken();
  await store.issue(fresh);
  expect(await store.burn({ ...HELD, ...fresh, sessionId: 'sess_d' })).toMatchObject({ burned: true });
});

test('a session that a snapshot remembers goes on after the restart', async () => {
  const redis = await startRedis();
  const store = openStore(redis.url);
  const token = newToken();
  await store.issue(token);
  await store.burn({ ...HELD, ...token, sessionId: 'sess_a' });
  await redis.cli('SAVE');
  await redis.kill();
  await redis.boot();
  expect(await burnWhenBack(store, { ...HELD, ...token, sessionId: 'sess_a' })).toMatchObject({ burned: true });
  expect(await store.finish({ ...HELD, id: token.id, sessionId: 'sess_a', reason: 'completed' })).toBe(true);
});

test('a replica promoted without the burn makes no second winner', async () => {
  const [master, replica] = await Promise.all([startRedis(), startRedis()]);
  await replica.follow(master);
  const store = openStore(master.url);
  const token = newToken();
  await store.issue(token);
  await master.replicated();
  // Promoted behind the master's back, which still takes the burn: the replica never hears of it.
  await replica.cli('REPLICAOF', 'NO', 'ONE');
  expect(await store.burn({ ...HELD, ...token, sessionId: 'sess_a' })).toMatchObject({ burned: true });
  await master.kill();

  const promoted = openStore(replica.url);
  expect((await promoted.read(token.id))?.status).toBe('expired');
  expect(await promoted.burn({ ...HELD, ...token, sessionId: 'sess_b' })).toEqual(unknown);
});

test('a master that became a replica is unavailable, and used again once it takes writes', async () => {
  const [master, other] = await Promise.all([startRedis(), startRedis()]);
  const store = openStore(master.url);
  const token = newToken();
  await store.issue(token);
  await master.follow(other);
  const error = await store.issue(newToken()).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'unavailable', retryable: true });
  await master.cli('REPLICAOF', 'NO', 'ONE');
  const fresh = newToken();
  await store.issue(fresh);
  expect(await store.burn({ ...HELD, ...fresh, sessionId: 'sess_a' })).toMatchObject({ burned: true });
});

test('Sentinel: the store follows a failover by itself, and what the old master issued is refused', async () => {
  const [master, replica] = await Promise.all([startRedis(), startRedis()]);
  await replica.follow(master);
  const sentinel = await TestRedis.startSentinel(master, 'gate');
  onTestFinished(() => sentinel.stop());
  const store = openStore(`redis+sentinel://127.0.0.1:${sentinel.port}/gate/0`);
  const token = newToken();
  await store.issue(token);
  await master.replicated();
  await master.kill();
  let fresh = newToken();
  for (let attempt = 0; attempt < 20; attempt++) {
    fresh = newToken();
    if (await store.issue(fresh).catch(() => undefined)) break;
    await sleep(200);
  }
  expect(await burnWhenBack(store, { ...HELD, ...token, sessionId: 'sess_a' })).toEqual(unknown);
  expect(await store.burn({ ...HELD, ...fresh, sessionId: 'sess_b' })).toMatchObject({ burned: true });
});

test('Sentinel: a subscriber whose connection is lost leaves nothing at the Sentinels', async () => {
  const [master, replica] = await Promise.all([startRedis(), startRedis()]);
  await replica.follow(master);
  const sentinel = await TestRedis.startSentinel(master, 'gate');
  onTestFinished(() => sentinel.stop());
  const listening = async () => (await sentinel.cli('CLIENT', 'LIST')).match(/ sub=1 /g)?.length;
  const store = openStore(`redis+sentinel://127.0.0.1:${sentinel.port}/gate/0`);
  let subscribed = 0;
  store.onSessions({
    moved: () => undefined,
    revoked: () => undefined,
    missed: () => {
      subscribed += 1;
    },
  });
  await expect.poll(() => subscribed, { timeout: 10_000 }).toBe(1);
  await expect.poll(listening).toBe(2);
  for (let lost = 1; lost <= 3; lost += 1) {
    // The Sentinel has a subscriber too, and without it would take the master for dead.
    const subscribers = (await master.cli('CLIENT', 'LIST', 'TYPE', 'pubsub')).split('\n');
    const id = subscribers
      .map((line) => /^id=(\d+) (?!.* name=sentinel)/.exec(line)?.[1])
      .find((each) => each !== undefined);
    await master.cli('CLIENT', 'KILL', 'ID', String(id));
    await expect.poll(() => subscribed, { timeout: 10_000 }).toBe(1 + lost);
  }
  await expect.poll(listening).toBe(2);
});

describe('a six-node Cluster', () => {
  let cluster: Awaited<ReturnType<typeof startCluster>>;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster?.stop());
  describeTokenStore(
    'a six-node Cluster',
    () => new RedisTokenStore(cluster.url, { log: silent, leaseMs: TEST_LEASE_MS, tickMs: 100 }),
  );
  describeSessions(
    'a six-node Cluster',
    () => new RedisTokenStore(cluster.url, { log: silent, leaseMs: TEST_LEASE_MS, tickMs: 100 }),
  );
  describeLifecycle('a six-node Cluster', () => new RedisTokenStore(cluster.url, { log: silent, tickMs: 100 }));

  test('spreads its tokens and renews leases on every shard', async () => {
    const store = openStore(cluster.url, TEST_LEASE_MS);
    const tokens = Array.from({ length: 60 }, () => newToken());
    await Promise.all(tokens.map((token) => store.issue(token)));
    const leases = tokens.map(({ id }, index) => ({
      ...HELD,
      tokenId: id,
      endpointId: `ep_${index}`,
      sessionId: `sess_${index}`,
    }));
    await Promise.all(tokens.map((token, index) => store.burn({ ...HELD, ...token, sessionId: `sess_${index}` })));
    for (let round = 0; round < 3; round++) {
      await sleep(TEST_LEASE_MS / 2);
      await store.renew(leases);
    }
    const records = await Promise.all(tokens.map(({ id }) => store.read(id)));
    expect(records.every((record) => record?.status === 'active')).toBe(true);
    const sizes = await Promise.all(cluster.nodes.map((node) => node.cli('DBSIZE')));
    expect(sizes.filter((size) => Number(size) > 0).length).toBeGreaterThanOrEqual(3);
    await Promise.all(leases.map((lease) => store.releasePlace(lease)));
  });

  test('a shard that fails over refuses what its dead master issued, and the others go on', async () => {
    const store = openStore(cluster.url, TEST_LEASE_MS);
    const tokens = Array.from({ length: 30 }, () => newToken());
    await Promise.all(tokens.map((token) => store.issue(token)));
    await cluster.nodes[0]!.replicated();
    await cluster.nodes[0]!.kill();
    const results = [];
    for (const token of tokens) {
      results.push(await burnWhenBack(store, { ...HELD, ...token, sessionId: `sess_${token.id}` }));
    }
    const burned = results.filter((result) => result.burned).length;
    const refused = results.filter((result) => !result.burned && result.refusal === 'token_unknown').length;
    expect(burned + refused).toBe(30);
    expect(burned).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  });

  test('a shard that is away is named, and delays neither the ends nor the mints of the others', async () => {
    const [, master] = cluster.nodes as [TestRedis, TestRedis];
    const living = cluster.nodes.slice(1);
    for (const node of living) await node.cli('CONFIG', 'SET', 'cluster-require-full-coverage', 'no');
    const told: string[] = [];
    const log = { warn: (fields: object, message: string) => void told.push(message + JSON.stringify(fields)) };
    const store = new RedisTokenStore(cluster.url, { log, tickMs: 500 });
    onTestFinished(() => store.close());
    const finisher = new Finisher(store, log);
    onTestFinished(() => finisher.close());
    const held = Array.from({ length: 60 }, () => ({ ...newToken(), sessionId: newSessionId() }));
    for (const token of held) {
      await store.issue(token);
      await store.burn({ ...HELD, ...token });
    }
    await expect.poll(() => store.ready).toBe(true);
    expect(store.away).toEqual([]);

    const id = await master.cli('CLUSTER', 'MYID');
    const nodes = await master.cli('CLUSTER', 'NODES');
    const replica = living.find(({ port }) => new RegExp(`:${port}@.* slave ${id}`).test(nodes));
    const gone = [master, ...(replica ? [replica] : [])];
    await Promise.all(gone.map((node) => node.kill()));
    const ends = held.map(({ id, sessionId }) => finisher.finish({ ...HELD, id, sessionId, reason: 'completed' }));
    await expect.poll(() => store.away.length, { timeout: 10_000 }).toBe(1);
    expect(store.away[0]).toMatch(/^slots \d+-\d+$/);
    await expect.poll(() => finisher.size, { timeout: 5000 }).toBe(held.filter(({ id }) => store.isAway(id)).length);

    const here = Array.from({ length: 30 }, () => newToken({ id: idThatIs(store, 'here') }));
    const there = newToken({ id: idThatIs(store, 'away') });
    const lost = store.issue(there).catch((error: unknown) => error);
    for (const token of here) {
      await store.issue(token);
      expect([store.ready, store.away.length]).toEqual([true, 1]);
    }
    expect(await lost).toMatchObject({ code: 'unavailable' });
    expect([store.ready, store.away.length]).toEqual([true, 1]);

    await Promise.all(gone.map((node) => node.boot()));
    await Promise.all(ends);
    expect(store.away).toEqual([]);
    expect(told).toEqual([
      expect.stringMatching(/^the token store cannot be used.*"shard":"slots/),
      expect.stringMatching(/^ends of sessions cannot be stored now/),
      expect.stringMatching(/^the token store can be used again.*"shard":"slots/),
      expect.stringMatching(/^all ends of sessions are stored/),
    ]);
  }, 40_000);
});

function idThatIs(store: RedisTokenStore, where: 'here' | 'away'): string {
  for (;;) {
    const id = newTokenId();
    if (store.isAway(id) === (where === 'away')) return id;
  }
}

import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyDirectory, showDirectory } from '../../src/directory/commands.ts';
import { IN_SCRIPTS } from '../../src/redis/rights.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { TokenStore } from '../../src/store/store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { TestRedis } from '../support/redis.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

/** What the documentation says, word for word. */
const [, DOCUMENTED = ''] =
  /^ACL SETUSER callgate on >password ([^\\\n]*(?:\\\n[^\\\n]*)*)$/m.exec(readFileSync('docs/operations.md', 'utf8')) ??
  [];
const RULES = DOCUMENTED.replaceAll('\\\n', ' ').trim().split(/\s+/);

let owned: { stop(): Promise<void> }[] = [];
let redis: TestRedis;
beforeEach(() => {
  owned = [];
});
afterEach(async () => {
  for (const part of owned) await part.stop();
});

const own = <T extends { stop(): Promise<void> }>(part: T): T => {
  owned.unshift(part);
  return part;
};
const start = async (...args: string[]) => {
  redis = own(await TestRedis.start(...args));
};
const allow = (...rules: string[]) => redis.cli('ACL', 'SETUSER', 'callgate', 'on', '>password', ...rules);
const urlOf = (scheme = 'redis') => `${scheme}://callgate:password@127.0.0.1:${redis.port}`;
const open = (url: string) => {
  const told: { lacks?: string[] }[] = [];
  const store = new RedisTokenStore(url, { log: { warn: (fields) => told.push(fields) }, fences: true });
  own({ stop: () => store.close() });
  const lacks = () => told.flatMap((fields) => fields.lacks ?? []);
  return { store, lacks };
};
const ready = (store: TokenStore, expected = true) =>
  expect.poll(() => store.ready, { timeout: 10_000, interval: 20 }).toBe(expected);
const token = () => ({ id: newTokenId(), endpointId: 'ep_a', team: 't', ttlSeconds: 60, maxDurationSeconds: 60 });

describe('the rights that the documentation names', () => {
  it('are enough for all that a server and its commands do, and for nothing else', { timeout: 60_000 }, async () => {
    await start();
    await allow(...RULES);
    const folder = await mkdtemp(join(tmpdir(), 'callgate-rights-'));
    own({ stop: () => rm(folder, { recursive: true }) });
    await writeFile(join(folder, 'tenants.yaml'), 'teams: [{ id: t }]');
    expect((await applyDirectory(urlOf(), join(folder, 'tenants.yaml'))).status).toBe(0);
    expect((await showDirectory(urlOf())).status).toBe(0);

    const server = own(await TestServer.start({ redisUrl: urlOf(), config: { session: { lease_renew_ms: 100 } } }));
    const { backend } = server;
    const minted = await backend.mint({ endpoint_id: 'ep_one' }, { idempotencyKey: 'once' });
    const fresh = await backend.refresh(minted.id);
    const call = await startCall(server.wsUrl, { token: fresh.token, endpoint_id: 'ep_one' });
    await call.expect('offer');
    await expect.poll(async () => (await server.read(fresh.id)).status).toBe('active');
    expect((await server.api('GET', '?limit=10')).status).toBe(200);
    await backend.revoke(fresh.id);
    expect(await call.skipTo('ended')).toMatchObject({ reason: 'revoked' });
    expect((await fetch(`${server.running.url}/readyz`)).status).toBe(200);
    await expect
      .poll(async () => Number(await redis.cli('XLEN', 'callgate:audit')), { timeout: 10_000 })
      .toBeGreaterThan(3);

    const { store, lacks } = open(urlOf());
    await ready(store);
    expect(lacks()).toEqual([]);
    expect(await redis.cli('ACL', 'LOG')).toBe('');
    expect(
      await redis.cli('--user', 'callgate', '--pass', 'password', '--no-auth-warning', 'CONFIG', 'GET', '*'),
    ).toContain('NOPERM');
  });

  it('are enough in a Cluster', async () => {
    await start('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1');
    await redis.cli('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await expect.poll(() => redis.cli('CLUSTER', 'INFO'), { timeout: 10_000 }).toContain('cluster_state:ok');
    await allow(...RULES);
    const { store, lacks } = open(urlOf('redis+cluster'));
    await ready(store);
    expect((await store.issue(token())).expiresAt).toBeGreaterThan(0);
    expect(lacks()).toEqual([]);
    // The client names a connection of its own, and goes without.
    const denied = [...(await redis.cli('ACL', 'LOG')).matchAll(/^object\n(.*)$/gm)].map(([, object]) => object);
    expect(denied.filter((object) => object !== 'client|setname')).toEqual([]);
  });

  it('are all that are looked at, of every script', () => {
    const used = globSync('src/**/*.ts').flatMap((path) =>
      [...readFileSync(path, 'utf8').matchAll(/redis\.p?call\('(\w+)'/g)].map(([, name]) => name),
    );
    const known = IN_SCRIPTS.map(([name]) => name);
    expect([...new Set(used)].filter((name) => !known.includes(name ?? ''))).toEqual([]);
    expect(known.filter((name) => !RULES.includes(`+${name.toLowerCase()}`))).toEqual([]);
  });
});

describe('a right that is missing', () => {
  it.each([
    ['a command of scripts', '-time', '+time'],
    ['a command that few steps use', '-hincrby', '+hincrby'],
    ['scripts', '-evalsha', '+evalsha'],
    ['a command by itself', '-zadd', '+zadd'],
    ['the keys', 'resetkeys', '~callgate:*'],
    ['the channels', 'resetchannels', '&callgate:*'],
  ])(
    'of %s is told by name, keeps the store from being ready until it is granted, and is no defect',
    async (_, taken, name) => {
      await start();
      await allow(...RULES, taken);
      const { store, lacks } = open(urlOf());
      await expect.poll(lacks, { timeout: 10_000, interval: 20 }).toContain(name);
      expect(store.ready).toBe(false);
      await store.issue(token()).catch((error: unknown) => expect(error).toMatchObject({ code: 'unavailable' }));
      await allow(name);
      await ready(store);
      expect((await store.issue(token())).expiresAt).toBeGreaterThan(0);
      // Once, however often it was met.
      expect(lacks().filter((lack) => lack === name)).toHaveLength(1);
    },
  );

  it('since the start is told when it is met', async () => {
    await start();
    await allow(...RULES);
    const { store, lacks } = open(urlOf());
    await ready(store);
    await allow('-hset');
    await expect(store.issue(token())).rejects.toMatchObject({ code: 'unavailable' });
    await expect.poll(lacks, { timeout: 10_000 }).toContain('+hset');
    expect(store.ready).toBe(false);
  });
});

it('a command with another name is told, and so is a replica', async () => {
  await start('--rename-command', 'TIME', 'HIDDEN');
  const master = redis;
  const { lacks } = open(`redis://127.0.0.1:${redis.port}`);
  await expect.poll(lacks, { timeout: 10_000 }).toEqual(['TIME (renamed, or this Redis is too old)']);
  await start();
  await redis.follow(master);
  const replica = open(`redis://127.0.0.1:${redis.port}`);
  await expect.poll(replica.lacks, { timeout: 10_000 }).toEqual(['a master: this is a replica']);
  expect(replica.store.ready).toBe(false);
});

it.each([
  ['another password', (port: number) => `redis://callgate:wrong@127.0.0.1:${port}`, /WRONGPASS/],
  ['an unknown user', (port: number) => `redis://nobody:password@127.0.0.1:${port}`, /WRONGPASS/],
  ['no password', (port: number) => `redis://127.0.0.1:${port}`, /NOAUTH/],
  ['another password at a Cluster', (port: number) => `redis+cluster://callgate:wrong@127.0.0.1:${port}`, /WRONGPASS/],
  ['another password at Sentinels', (port: number) => `redis+sentinel://127.0.0.1:${port}/main`, /NOAUTH/],
])('a start with %s fails with one sentence that repeats none', async (_, url, reason) => {
  await start();
  await allow(...RULES);
  await redis.cli('CONFIG', 'SET', 'requirepass', 'hunter2');
  const failure = await TestServer.start({ redisUrl: url(redis.port) }).then(
    (server) => server.stop(),
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(Error);
  const { message } = failure as Error;
  expect(message).toMatch(/^the Redis of REDIS_URL does not let us in; check user and password: [^\n]+$/);
  expect(message).toMatch(reason);
  expect(message).not.toMatch(/wrong@|hunter2/);
});

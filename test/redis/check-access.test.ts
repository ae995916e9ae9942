import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { checkAccess } from '../../src/redis/check-access.ts';
import { createRedis } from '../../src/redis/connection.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { makeCertificates } from '../support/certificates.ts';
import { freePort } from '../support/ports.ts';
import { TestRedis } from '../support/redis.ts';

let redis: TestRedis;
let owned: { stop(): Promise<void> }[] = [];
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());
afterEach(async () => {
  for (const part of owned.splice(0)) await part.stop();
});
const own = <T extends { stop(): Promise<void> }>(part: T): T => {
  owned = [part, ...owned];
  return part;
};
const refusal = (url: string): Promise<string> =>
  checkAccess({ url }).then(
    () => 'none',
    (error: Error) => error.message,
  );
const token = () => ({ id: newTokenId(), endpointId: 'ep_a', team: 't', ttlSeconds: 60, maxDurationSeconds: 60 });

describe('settings with which nobody ever gets in are told by', () => {
  it.each([
    ['a database that is not there', 'redis://127.0.0.1:$/99', /^\S+ \S+ of REDIS_URL has no such database; .*out of/],
    ['one Redis as a Cluster', 'redis+cluster://127.0.0.1:$', /^the Redis of REDIS_URL is no Cluster; use redis:/],
    ['one Redis as a Sentinel', 'redis+sentinel://127.0.0.1:$/main', /^the Redis of REDIS_URL is no Sentinel; use /],
  ])('%s', async (_, url, told) => {
    expect(await refusal(url.replace('$', String(redis.port)))).toMatch(told);
  });

  it('a Sentinel as a Redis or as a Cluster, and a group that it does not watch', async () => {
    const { port } = own(await TestRedis.startSentinel(redis, 'main', { replicas: false }));
    expect(await refusal(`redis://127.0.0.1:${port}`)).toMatch(/is a Sentinel; use redis\+sentinel:/);
    expect(await refusal(`redis+cluster://127.0.0.1:${port}`)).toMatch(/is no Cluster; use /);
    expect(await refusal(`redis+sentinel://127.0.0.1:${port}/other`)).toMatch(/Sentinels of no such group; check the/);
    expect(await refusal(`redis+sentinel://127.0.0.1:${port}/main/99`)).toMatch(/has no such database/);
    expect(await refusal(`redis+sentinel://127.0.0.1:${port}/main/3`)).toBe('none');
  });

  it('one node of a Cluster as the whole, unless it is', async () => {
    const args = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'];
    const [one, other] = [own(await TestRedis.start(...args)), own(await TestRedis.start(...args))];
    await one.cli('CLUSTER', 'ADDSLOTSRANGE', '0', '8191');
    await other.cli('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383');
    expect(await refusal(`redis://127.0.0.1:${one.port}`)).toBe('none');
    await one.cli('CLUSTER', 'MEET', '127.0.0.1', String(other.port));
    await expect.poll(() => one.cli('CLUSTER', 'INFO'), { timeout: 10_000 }).toContain('cluster_size:2');
    expect(await refusal(`redis://127.0.0.1:${one.port}`)).toMatch(/is one node of a Cluster; use redis\+cluster:/);
    expect(await refusal(`redis://127.0.0.1:${one.port}/3`)).toMatch(/has no such database/);
    expect(await refusal(`redis+cluster://127.0.0.1:${one.port}`)).toBe('none');
  });

  it('TLS whose certificate nobody trusts', async () => {
    const { ca, cert, key, remove } = await makeCertificates();
    own({ stop: remove });
    const port = await freePort();
    const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca];
    own(await TestRedis.start('--tls-port', String(port), ...files));
    expect(await refusal(`rediss://127.0.0.1:${port}`)).toMatch(/does not agree with us on TLS; check redis\.tls, /);
  });
});

it('a database that may not be selected any more is not another one', async () => {
  const rules = ['on', '>password', '~callgate:*', '&callgate:*', '+@all'];
  await redis.cli('ACL', 'SETUSER', 'callgate', ...rules);
  const log = { warn: () => undefined };
  const store = new RedisTokenStore(`redis://callgate:password@127.0.0.1:${redis.port}/3`, { log });
  own({ stop: () => store.close() });
  await store.issue(token());
  await redis.cli('ACL', 'SETUSER', 'callgate', '-select');
  await redis.cli('CLIENT', 'KILL', 'USER', 'callgate');
  await expect.poll(() => store.ready, { timeout: 5000 }).toBe(false);
  await expect(store.issue(token())).rejects.toMatchObject({ code: 'unavailable' });
  expect(await redis.cli('KEYS', '*')).toBe('');
  await redis.cli('ACL', 'SETUSER', 'callgate', '+select');
  await expect.poll(() => store.ready, { timeout: 10_000 }).toBe(true);
  await store.issue(token());
  expect(await redis.cli('KEYS', '*')).toBe('');
});

it('a connection that breaks twice ends no process', async () => {
  const client = createRedis(redis.url, { warn: () => undefined });
  own({ stop: async () => client.disconnect() });
  await new Promise((resolve) => client.once('ready', resolve));
  const { stream } = client as { stream: NodeJS.EventEmitter };
  for (const said of ['bad certificate', 'alert']) stream.emit('error', new Error(said));
});

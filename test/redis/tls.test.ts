import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readRedisAccess } from '../../src/redis/access.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { freePort } from '../support/ports.ts';
import { TestRedis } from '../support/redis.ts';

let certificates: Certificates;
let folder: string;
const owned: { stop(): Promise<void> }[] = [];
beforeAll(async () => {
  certificates = await makeCertificates();
  folder = await mkdtemp(join(tmpdir(), 'callgate-tls-'));
  await writeFile(join(folder, 'password'), 'secret of the nodes\n');
  await writeFile(join(folder, 'sentinel'), 'secret of the Sentinels\n');
});
afterAll(async () => {
  await certificates.remove();
  await rm(folder, { recursive: true });
});
afterEach(async () => {
  for (const part of owned.splice(0)) await part.stop();
});

const own = <T extends { stop(): Promise<void> }>(part: T): T => {
  owned.unshift(part);
  return part;
};
/** What makes a server take TLS there, of those only who show a certificate of the authority. */
const tlsArgs = (port: number): string[] =>
  Object.entries({
    'tls-port': String(port),
    'tls-cert-file': certificates.cert,
    'tls-key-file': certificates.key,
    'tls-ca-cert-file': certificates.ca,
    'tls-auth-clients': 'yes',
  }).flatMap(([name, value]) => [`--${name}`, value]);
const lines = (args: string[]): string[] =>
  args.flatMap((arg, i) => (i % 2 === 0 ? [`${arg.slice(2)} ${args[i + 1]}`] : []));

interface Settings {
  password_file?: string;
  sentinel?: { username?: string; password_file?: string };
  tls?: { ca?: string; cert?: string; key?: string };
}
const open = (url: string, { password_file, sentinel = {}, tls }: Settings = {}) => {
  const told: unknown[] = [];
  const { ca, cert, key } = certificates;
  const access = readRedisAccess(url, { password_file, sentinel, tls: tls ?? { ca, cert, key } });
  const store = new RedisTokenStore(access, { log: { warn: (fields) => told.push(fields) } });
  own({ stop: () => store.close() });
  return { store, told };
};
const issue = (store: RedisTokenStore) =>
  store.issue({ id: newTokenId(), endpointId: 'ep_a', team: 't', ttlSeconds: 60, maxDurationSeconds: 60 });

describe('a store behind TLS with a private authority and client certificates', () => {
  it('is one Redis, whose password is in a file', async () => {
    const port = await freePort();
    const redis = own(await TestRedis.start(...tlsArgs(port)));
    await redis.cli('ACL', 'SETUSER', 'gate', 'on', '>secret of the nodes', '+@all', '~*', '&*');
    const url = `rediss://gate@127.0.0.1:${port}`;
    const { store } = open(url, { password_file: join(folder, 'password') });
    expect((await issue(store)).expiresAt).toBeGreaterThan(0);

    for (const tls of [{}, { ca: certificates.ca }]) {
      const { store: refused, told } = open(url, { tls, password_file: join(folder, 'password') });
      await expect(issue(refused)).rejects.toMatchObject({ code: 'unavailable' });
      expect(told).not.toEqual([]);
    }
  });

  it('is found by Sentinels, which have a user and a password of their own', async () => {
    const [port, sentinelPort] = [await freePort(), await freePort()];
    const master = own(await TestRedis.start(...tlsArgs(port), '--tls-replication', 'yes'));
    const sentinel = own(
      await TestRedis.startSentinel(master, 'main', {
        port,
        replicas: false,
        settings: lines([...tlsArgs(sentinelPort), '--tls-replication', 'yes']),
      }),
    );
    await sentinel.cli('ACL', 'SETUSER', 'watcher', 'on', '>secret of the Sentinels', '+@all', '&*');
    await sentinel.cli('ACL', 'SETUSER', 'default', 'resetpass', '>nobody knows it');
    const { store } = open(`rediss+sentinel://127.0.0.1:${sentinelPort}/main`, {
      sentinel: { username: 'watcher', password_file: join(folder, 'sentinel') },
    });
    expect((await issue(store)).expiresAt).toBeGreaterThan(0);
  });

  it('is a Cluster', async () => {
    const port = await freePort(10_000);
    const cluster = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--tls-cluster', 'yes'];
    const node = own(await TestRedis.start(...cluster, ...tlsArgs(port)));
    await node.cli('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await expect.poll(() => node.cli('CLUSTER', 'INFO'), { timeout: 10_000 }).toContain('cluster_state:ok');
    const { store } = open(`rediss+cluster://127.0.0.1:${port}`);
    await expect.poll(() => store.ready, { timeout: 10_000 }).toBe(true);
    expect((await issue(store)).expiresAt).toBeGreaterThan(0);
  });
});

describe('a file of the way in that cannot be used', () => {
  const refusal = (settings: Settings) => {
    try {
      readRedisAccess('rediss://h', { sentinel: {}, tls: {}, ...settings });
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  };

  it('is named', async () => {
    const empty = join(folder, 'empty');
    await writeFile(empty, '\n');
    const { cert, key } = certificates;
    const other = await makeCertificates();
    expect(refusal({ password_file: empty })).toBe(`${empty}: holds no password`);
    expect(refusal({ tls: { ca: empty } })).toBe(`${empty}: cannot be used for TLS: it is not PEM`);
    expect(refusal({ tls: { cert, key: other.key } })).toMatch(/^\S+key\.pem: cannot be used for TLS: .*mismatch/);
    expect(refusal({ tls: { cert: '/nonexistent', key } })).toMatch(/^\/nonexistent: cannot be read/);
    expect(refusal({ tls: { cert, key } })).toBeUndefined();
    await other.remove();
  });
});

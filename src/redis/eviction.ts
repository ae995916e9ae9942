import { Cluster, type Redis } from 'ioredis';
import type { RedisClient, StoreLog } from './connection.ts';

/**
 * Warns when the store may evict records: an evicted call token is refused and an evicted place is free, so
 * `maxmemory-policy` has to be `noeviction`. A server that lets nobody ask is left alone.
 */
export async function checkEviction(client: RedisClient, log: StoreLog): Promise<void> {
  const nodes = client instanceof Cluster ? client.nodes('master') : [client];
  const policies = await Promise.all(nodes.map(policyOf));
  const policy = policies.find((found) => found !== undefined && found !== 'noeviction');
  if (policy) log.warn({ policy }, 'the token store may evict records: set maxmemory-policy to noeviction');
}

// CONFIG says the same, but is forbidden on many managed servers.
const policyOf = (node: Redis): Promise<string | undefined> =>
  node.info('memory').then(
    (info) => /^maxmemory_policy:(\S+)/m.exec(info)?.[1],
    () => undefined,
  );

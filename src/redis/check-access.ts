import { Cluster } from 'ioredis';
import type { RedisSource } from './access.ts';
import { createRedis, type RedisClient, wordsOf } from './connection.ts';

/** Without an answer by then, the server starts and waits for its Redis later. */
const WITHIN_MS = 2000;

/** Errors that no waiting mends, and what they mean. */
const REFUSALS: readonly [pattern: RegExp, meaning: string][] = [
  [/(?:WRONGPASS|NOAUTH|NOPERM)\b[^\n,]*/, 'does not let us in; check user and password'],
  [/ERR (?:DB index is|invalid DB index|SELECT is not)[^\n,]*/, 'has no such database; check the number at the end'],
  [/ERR This instance has cluster support disabled/, 'is no Cluster; use redis:// or redis+sentinel://'],
  [/ERR No such master with that name/, 'are Sentinels of no such group; check the name after them'],
  [/ERR unknown command .?sentinel\b/i, 'is no Sentinel; use redis:// or redis+cluster://'],
  [/ERR unknown command .?cluster\b/i, 'is no Cluster; use redis:// or redis+sentinel://'],
  [
    /\b(?:\w*SELF_SIGNED_CERT\w*|UNABLE_TO_(?:GET|VERIFY)_\w+|CERT_\w+|ERR_TLS_CERT\w+|ERR_SSL_\w+)\b/,
    'does not agree with us on TLS; check redis.tls, and whether it speaks TLS at all',
  ],
];

/**
 * Connects once, so that a start fails with settings that can never work. A Redis that cannot be reached is no such mistake:
 * the server starts and waits for it.
 * @throws Error with what the Redis, or a Sentinel, says
 */
export async function checkAccess(redis: RedisSource): Promise<void> {
  const client = createRedis(redis, { warn: () => undefined });
  try {
    await new Promise<void>((resolve, reject) => {
      setTimeout(resolve, WITHIN_MS).unref();
      client.once('ready', () => void checkKind(client).then(resolve, reject));
      client.on('error', (error: Error) => {
        const refusal = refusalOf(wordsOf(error));
        if (refusal === undefined) resolve();
        else reject(refusal);
      });
    });
  } finally {
    client.disconnect();
  }
}

function refusalOf(words: string): Error | undefined {
  for (const [pattern, meaning] of REFUSALS) {
    const [said] = pattern.exec(words) ?? [];
    if (said !== undefined) return refusal(`${meaning}: ${said.trim()}`);
  }
  return undefined;
}

/** A Sentinel and a node of a Cluster let in whoever takes them for a Redis of its own. */
async function checkKind(client: RedisClient): Promise<void> {
  if (client instanceof Cluster) return;
  const [, mode] = /^redis_mode:(\w+)/m.exec(await client.info('server').catch(() => '')) ?? [];
  if (mode === 'sentinel') throw refusal('is a Sentinel; use redis+sentinel:// with the name of its group');
  if (mode !== 'cluster') return;
  const info = (await client.call('CLUSTER', 'INFO').catch(() => '')) as string;
  if (/^cluster_size:(?![01]\b)/m.test(info)) throw refusal('is one node of a Cluster; use redis+cluster://');
}

const refusal = (meaning: string): Error => new Error(`the Redis of REDIS_URL ${meaning}`);

import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisAccess, RedisSource } from './access.ts';
import { comeBack } from './come-back.ts';
import { withJoinedCommands } from './joined-commands.ts';
import { checkStreams } from './stream-errors.ts';
import { type HostPort, parseRedisUrl, type RedisTarget } from './url.ts';

export type RedisClient = Redis | Cluster;

/** The part of a pino logger that the store logs to. */
export interface StoreLog {
  warn(fields: object, message: string): void;
}

/** User, password and TLS of the nodes. */
type Entry = Pick<RedisOptions, 'username' | 'password' | 'tls'>;

type SingleOptions = Omit<RedisOptions, 'replyMapping'>;

/** How long a connection may take to come about, in milliseconds; `RedisCaller` bounds the commands. */
const CONNECT_MS = 800;

/** At most 400 ms, so that a store which is back is found well within 2 s, and not by all processes in the same moment. */
const reconnectAfter = (attempt: number): number => Math.min(25 * 2 ** attempt, 400) * (0.5 + Math.random() / 2);

const COMMON = {
  connectTimeout: CONNECT_MS,
  // A socket that swallows commands (a paused process, a black hole) is given up rather than waited for: TCP's own
  // retransmission would notice the store's return only minutes later.
  socketTimeout: 1500,
  disconnectTimeout: 100,
  // What was in flight when a connection broke is rejected at once; whether to ask again is decided by the caller,
  // which knows what is safe to repeat. 0 also means that nothing is ever sent again behind its back.
  maxRetriesPerRequest: 0,
  maxLoadingRetryTime: 400,
  disableClientInfo: true,
} satisfies RedisOptions;

/**
 * Connects to the store and keeps the connection: it comes back by itself, holds no queue while it is away, and never
 * emits an unhandled `error`.
 * @throws TypeError when the URL is of no accepted form
 */
export function createRedis(source: RedisSource, log: StoreLog): RedisClient {
  const access = typeof source === 'string' ? { url: source } : source;
  const target = parseRedisUrl(access.url);
  const { username, password = access.password } = target;
  const tls = target.tls && { tls: access.tls ?? {} };
  const entry = { ...(username && { username }), ...(password && { password }), ...tls };
  const client =
    target.kind === 'cluster'
      ? clusterOf(target.nodes, entry)
      : withJoinedCommands(
          comeBack(new Redis(singleOf(target, entry, access.sentinel)), () => reconnectAfter(3), log),
          log,
        );
  checkStreams(client, log);
  // Told once an outage, not once a reconnect. Only a code is told: some servers repeat their input in an error.
  let told = false;
  client.on('error', (error: Error & { command?: { name: string } }) => {
    // ioredis would go on in database 0, where the other processes are not.
    if (error.command?.name === 'select') client.disconnect(true);
    if (!told) log.warn({ reason: reasonOf(error) }, 'the token store cannot be reached');
    told = true;
  });
  client.on('ready', () => {
    told = false;
  });
  return client;
}

function singleOf(
  target: Exclude<RedisTarget, { kind: 'cluster' }>,
  entry: Entry,
  sentinel: RedisAccess['sentinel'] = {},
): SingleOptions {
  const options: SingleOptions = {
    ...COMMON,
    ...entry,
    db: target.db,
    enableOfflineQueue: false,
    retryStrategy: reconnectAfter,
    reconnectOnError: leaveReplicas(),
  };
  if (target.kind === 'single') {
    return { ...options, host: target.host, port: target.port };
  }
  return {
    ...options,
    sentinels: target.nodes,
    name: target.master,
    ...(sentinel.username && { sentinelUsername: sentinel.username }),
    ...(sentinel.password && { sentinelPassword: sentinel.password }),
    ...(entry.tls && { sentinelTLS: entry.tls, enableTLSForSentinelMode: true }),
    sentinelCommandTimeout: CONNECT_MS,
    sentinelRetryStrategy: reconnectAfter,
    // Leaves a master that was voted out although its connection still works.
    failoverDetector: true,
  };
}

/** Another connection is looked for this often, at most, while the one there is leads to a replica. */
const LEAVE_EVERY_MS = 1000;

/**
 * After a failover the old master lives on as a replica: look again for the one that takes writes, once for all that such a
 * server refuses at the same time.
 */
function leaveReplicas(): (error: Error) => boolean {
  let leftAt = -Infinity;
  return ({ message }) => {
    if (!/^(READONLY|MASTERDOWN) /.test(message) || performance.now() - leftAt < LEAVE_EVERY_MS) return false;
    leftAt = performance.now();
    return true;
  };
}

// The cluster client repeats commands of its own accord when a connection closes; 0 turns that off, so that an error
// reply to a command always answers its only execution. The slot map is refreshed by MOVED replies and by the interval.
function clusterOf(nodes: HostPort[], entry: Entry): Cluster {
  return new Cluster(nodes, {
    redisOptions: { ...COMMON, ...entry },
    enableOfflineQueue: false,
    clusterRetryStrategy: reconnectAfter,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    maxRedirections: 4,
    slotsRefreshTimeout: CONNECT_MS,
    slotsRefreshInterval: 5000,
  });
}

/** A short name of what went wrong that holds neither arguments nor addresses. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && typeof error.code === 'string') return error.code;
  const words = wordsOf(error);
  if (/^Connection is closed\.$/m.test(words)) return 'connection closed';
  return /^(?:ERR (?:DB|No such|This|unknown command)[^,'`\n]*|[A-Z]{3,}(?= ))/m.exec(words)?.[0].trim() ?? error.name;
}

/** All that an error says, a line each: what a Sentinel or a node of a Cluster said is wrapped by ioredis. */
export function wordsOf(error: Error & { code?: unknown; lastNodeError?: Error }): string {
  const { code, message, lastNodeError } = error;
  return [code, message.replace(/^All sentinels .* Last error: /, ''), lastNodeError?.message]
    .filter(Boolean)
    .join('\n');
}

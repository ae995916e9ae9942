import { Cluster, type Redis } from 'ioredis';
import { DENIED } from './caller.ts';
import type { RedisClient, StoreLog } from './connection.ts';

/** What is lacking is looked for again this often, until it was granted. */
const RECHECK_MS = 2000;

/** Nothing else uses it; what is left there lapses at once. */
const KEY = 'callgate:rights';

type Command = readonly [name: string, ...args: string[]];

/** All that scripts use, in calls that leave nothing behind: the first one makes a key that the others find of another type. */
export const IN_SCRIPTS: readonly Command[] = [
  ['SET', KEY, '', 'NX', 'PX', '100'],
  ['TIME'],
  ['INFO', 'replication'],
  ['GET', KEY],
  ['EXISTS', KEY],
  ['HGET', KEY, 'f'],
  ['HMGET', KEY, 'f'],
  ['HGETALL', KEY],
  ['HSET', KEY, 'f', ''],
  ['HSETNX', KEY, 'f', ''],
  ['HINCRBY', KEY, 'f', '1'],
  ['ZADD', KEY, 'XX', '1', 'm'],
  ['ZCARD', KEY],
  ['ZSCORE', KEY, 'm'],
  ['ZRANGEBYSCORE', KEY, '0', '0'],
  ['ZREVRANGEBYSCORE', KEY, '0', '0'],
  ['ZREM', KEY, 'm'],
  ['ZREMRANGEBYSCORE', KEY, '0', '0'],
  ['XADD', KEY, 'NOMKSTREAM', '*', 'f', ''],
  // Of the counters of mints.
  ['INCRBY', KEY, '1'],
  ['PTTL', KEY],
  ['EXPIRE', KEY, '1'],
  ['PUBLISH', KEY, ''],
  ['PEXPIRE', KEY, '1'],
  ['DEL', KEY],
];

/** What is called beside scripts. */
const BY_ITSELF: readonly Command[] = [
  ['PING'],
  ['INFO', 'server'],
  ['EVALSHA', '0'.repeat(40), '0'],
  ['HGET', KEY, 'f'],
  ['HMGET', KEY, 'f'],
  ['HSTRLEN', KEY, 'f'],
  ['ZADD', KEY, 'XX', '1', 'm'],
  ['ZREM', KEY, 'm'],
  ['PUBLISH', KEY, ''],
];

/** ARGV: the commands as JSON. Answers those that failed, each with why. */
const TRY = `
local failed = {}
for _, command in ipairs(cjson.decode(ARGV[1])) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err then failed[#failed + 1] = {command[1], reply.err} end
end
return failed`;

/**
 * Whether the user of the store may do all that callgate does there: rights (ACL), renamed commands, a replica that takes no
 * writes. What is lacking is told by name, and looked for again until it is there.
 */
export class Rights {
  readonly #client: RedisClient;
  readonly #log: StoreLog;
  #lacks = '';
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;
  #closed = false;

  constructor(client: RedisClient, log: StoreLog) {
    this.#client = client;
    this.#log = log;
  }

  /** Nothing is known to lack. */
  get complete(): boolean {
    return this.#lacks === '';
  }

  /** Looks now, once at a time; never rejects. */
  check(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#checking ??= this.#look().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    const nodes = this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
    // Who cannot be asked says nothing.
    const found = await Promise.all(nodes.map((node) => lacksOf(node).catch(() => undefined)));
    if (this.#closed) return;
    if (found.every((lacks) => lacks !== undefined)) this.#tell([...new Set(found.flat())]);
    if (!this.complete) this.#timer = setTimeout(() => void this.check(), RECHECK_MS).unref();
  }

  #tell(lacks: string[]): void {
    const before = this.#lacks;
    this.#lacks = lacks.join(' ');
    if (this.#lacks === before) return;
    if (this.complete) this.#log.warn({}, 'the user of the token store may do all that callgate needs there');
    else this.#log.warn({ lacks }, 'the user of the token store may not do what callgate needs there: grant it');
  }
}

async function lacksOf(node: Redis): Promise<string[]> {
  const lacks: (string | undefined)[] = await Promise.all([
    ...BY_ITSELF.map(([name, ...args]) => refusalOf(name, node.call(name, ...args))),
    refusalOf('SUBSCRIBE', subscribe(node)),
  ]);
  const tried = node.call('EVAL', TRY, '0', JSON.stringify(IN_SCRIPTS)) as Promise<[string, string][]>;
  lacks.push(await refusalOf('EVAL', tried));
  for (const [name, reason] of await tried.catch(() => [])) lacks.push(lackOf(name, reason));
  if (/^role:slave/m.test(await node.info('replication').catch(() => ''))) lacks.push('a master: this is a replica');
  return lacks.filter((lack) => lack !== undefined);
}

const refusalOf = (command: string, call: Promise<unknown>): Promise<string | undefined> =>
  call.then(
    () => undefined,
    (error: Error) => lackOf(command, error.message),
  );

/** On a connection of its own: one that is subscribed takes no other commands. */
async function subscribe(node: Redis): Promise<void> {
  const subscriber = node.duplicate({ retryStrategy: () => null, autoResubscribe: false, lazyConnect: true });
  subscriber.on('error', () => undefined);
  try {
    await subscriber.connect();
    await subscriber.subscribe(KEY);
  } finally {
    subscriber.disconnect();
  }
}

/** In the words of `ACL SETUSER`; undefined for what failed in another way. */
function lackOf(command: string, reason: string): string | undefined {
  if (/unknown (redis )?command/i.test(reason)) return `${command} (renamed, or this Redis is too old)`;
  if (!DENIED.test(reason)) return undefined;
  if (/\bkeys\b/.test(reason)) return '~callgate:*';
  return /\bchannels\b/.test(reason) ? '&callgate:*' : `+${command.toLowerCase()}`;
}

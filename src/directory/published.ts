import { randomUUID } from 'node:crypto';
import { MAX_BYTES } from '../config/yaml-file.ts';
import type { RedisSource } from '../redis/access.ts';
import { RedisCaller } from '../redis/caller.ts';
import { createRedis, type RedisClient, type StoreLog } from '../redis/connection.ts';
import { Subscriber } from '../redis/subscriber.ts';

/** The published directory: one hash, so that a reader finds a version whole or not at all. */
const KEY = 'callgate:directory';
const CHANNEL = 'callgate:directory';

/**
 * ARGV: stamp, text. Answers the version. The stamp is of this publication alone: version numbers can come again when
 * a failover loses the last one. Repeating it is safe.
 */
const PUBLISH = `
if redis.call('HGET', KEYS[1], 'stamp') ~= ARGV[1] then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('HSET', KEYS[1], 'stamp', ARGV[1], 'text', ARGV[2], 'applied', redis.call('TIME')[1])
end
return tonumber(redis.call('HGET', KEYS[1], 'version'))`;

/** One published version of the tenants file. */
export interface Publication {
  version: number;
  stamp: string;
  /** The file as it was applied; undefined when it is larger than such a file may be. */
  text: string | undefined;
  appliedAt: Date;
}

interface Steps {
  callgatePublish: (key: string, stamp: string, text: string) => Promise<number>;
}

/** Where a directory is published for all processes. Owns its connection; every call rejects with `unavailable`. */
export class PublishedDirectory {
  readonly #client: RedisClient & Steps;
  readonly #caller: RedisCaller;
  #subscriber: Subscriber | undefined;

  /** @throws TypeError when the URL is of no accepted form */
  constructor(redis: RedisSource, log: StoreLog) {
    const client = createRedis(redis, log);
    client.defineCommand('callgatePublish', { numberOfKeys: 1, lua: PUBLISH });
    this.#client = client as RedisClient & Steps;
    this.#caller = new RedisCaller(client);
  }

  /** Names the version that is published now; undefined when there is none. */
  async stamp(): Promise<string | undefined> {
    return (await this.#caller.call(KEY, () => this.#client.hget(KEY, 'stamp'))) ?? undefined;
  }

  async read(): Promise<Publication | undefined> {
    const size = await this.#caller.call(KEY, () => this.#client.hstrlen(KEY, 'text'));
    const fields = ['version', 'stamp', 'applied', ...(size > MAX_BYTES ? [] : ['text'])];
    const [version, stamp, applied, text] = await this.#caller.call(KEY, () => this.#client.hmget(KEY, ...fields));
    if (!stamp) return undefined;
    return { version: Number(version), stamp, text: text ?? undefined, appliedAt: new Date(Number(applied) * 1000) };
  }

  /** Publishes a text and announces it; answers its version. */
  async publish(text: string): Promise<number> {
    const stamp = randomUUID();
    const version = await this.#caller.call(KEY, () => this.#client.callgatePublish(KEY, stamp, text));
    // Only a hint: whoever does not hear it looks every few seconds.
    await this.#client.publish(CHANNEL, stamp).catch(() => undefined);
    return version;
  }

  /** Calls `look` on every announcement, and whenever one may have been missed, until this is closed. */
  listen(look: () => void): void {
    // Where the channel may not be heard, looks at intervals are enough.
    const subscription = { channel: CHANNEL, heard: look, missed: look, refused: () => undefined };
    this.#subscriber = new Subscriber(this.#client, subscription);
    this.#subscriber.open();
  }

  close(): void {
    this.#subscriber?.close();
    this.#caller.close();
    this.#client.disconnect();
  }
}

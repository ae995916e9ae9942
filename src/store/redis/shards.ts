import { NO_CONNECTION } from '../../redis/caller.ts';
import type { RedisClient, StoreLog } from '../../redis/connection.ts';
import { Outage } from '../../shared/outage.ts';
import { type ShardMap, shardMapOf } from './shard-map.ts';

/** While a shard is away it is asked this often, so that its return is noticed. */
const RETRY_MS = 250;
/** Clocks that are further apart are told, until they are this close again. */
const FAR_MS = 1000;
const CLOSE_MS = 500;

interface Shard {
  away: boolean;
  /** What its clock says less the monotonic one, in milliseconds; undefined until it was heard. */
  clock: number | undefined;
  readonly absence: Outage;
  readonly skew: Outage;
}

export interface ShardsOptions {
  log: StoreLog;
  /** Writes a key that means nothing, in one try, and answers the clock of its shard in epoch milliseconds. */
  probe: (key: string) => Promise<number>;
  everyMs: number;
}

/**
 * What one process knows of the shards of the store: whether each takes writes, and what its clock says. A call that failed
 * makes its shard away; only a write that was answered makes it there again, since a shard that takes no writes may still
 * answer other calls. Owns the timer by which they are asked.
 */
export class Shards {
  readonly #client: RedisClient;
  readonly #options: ShardsOptions;
  /** Of the store as a whole, which is all of it where it has one shard. */
  readonly #absence: Outage;
  #map: ShardMap;
  /** By name. */
  #shards = new Map<string, Shard>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #closed = false;

  constructor(client: RedisClient, options: ShardsOptions) {
    this.#client = client;
    this.#options = options;
    this.#absence = new Outage(options.log, 'the token store can be used again');
    this.#map = shardMapOf(client);
  }

  /** Whether there is a shard that takes writes. */
  get ready(): boolean {
    return this.#client.status === 'ready' && [...this.#shards.values()].some(({ away, clock }) => !away && clock);
  }

  /** The names of the shards of a Cluster that take no writes. */
  get away(): string[] {
    return [...this.#shards].filter(([name, { away }]) => away && name !== '').map(([name]) => name);
  }

  isAway(key: string): boolean {
    return this.#at(key)?.away ?? false;
  }

  /** The clock of a key's shard in epoch milliseconds, or of another one while that was not heard; undefined if none was. */
  now(keyOf: () => string | undefined): number | undefined {
    const known = [...this.#shards.values()].find(({ clock }) => clock !== undefined)?.clock;
    const key = this.#shards.size > 1 ? keyOf() : undefined;
    const clock = (key === undefined ? undefined : this.#at(key)?.clock) ?? known;
    return clock === undefined ? undefined : clock + performance.now();
  }

  /** How far the store's clock is ahead of this process's, in milliseconds; of several shards, where they differ most. */
  get skewMs(): number {
    let most = 0;
    for (const { clock } of this.#shards.values()) {
      const skew = clock === undefined ? 0 : skewOf(clock);
      if (Math.abs(skew) > Math.abs(most)) most = skew;
    }
    return most;
  }

  /** A call failed whose key is this. */
  failed(key: string, reason: string): void {
    const name = this.#map.nameOf(key);
    const shard = this.#shards.get(name);
    if (!shard) return;
    // Why there is no connection is told by the connection.
    const where = name === '' ? {} : { shard: name };
    if (reason !== NO_CONNECTION) shard.absence.began({ reason, ...where }, 'the token store cannot be used');
    if (shard.away) return;
    shard.away = true;
    void this.look();
  }

  /** The store as a whole cannot be connected to. */
  lost(fields: object): void {
    this.#absence.began(fields, 'the token store cannot be reached');
  }

  /** Asks all of them now, one round at a time, and from then on by itself; never rejects. */
  look(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#looking ??= this.#askAll().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #askAll(): Promise<void> {
    clearTimeout(this.#timer);
    this.#map = shardMapOf(this.#client);
    this.#shards = new Map(
      [...this.#map.keys.keys()].map((name) => [name, this.#shards.get(name) ?? this.#newShard(name)]),
    );
    await Promise.all([...this.#map.keys].map(([name, key]) => this.#ask(name, key)));
    if (this.#closed) return;
    const isWhole = [...this.#shards.values()].every(({ away }) => !away);
    const { everyMs } = this.#options;
    this.#timer = setTimeout(() => void this.look(), isWhole ? everyMs : Math.min(RETRY_MS, everyMs)).unref();
  }

  async #ask(name: string, key: string): Promise<void> {
    const asked = performance.now();
    // A probe that fails is a call that failed.
    const clock = await this.#options.probe(key).catch(() => undefined);
    const shard = this.#shards.get(name);
    if (clock === undefined || !shard) return;
    shard.clock = clock - (asked + performance.now()) / 2;
    shard.away = false;
    const where = name === '' ? {} : { shard: name };
    shard.absence.ended(where);
    this.#absence.ended();
    this.#tellSkew(shard, where, performance.now() - asked);
  }

  /** What the way to the store and back took may be a part of the difference. */
  #tellSkew({ clock, skew }: Shard, where: object, tookMs: number): void {
    const ms = skewOf(clock ?? 0);
    const differs = Math.abs(ms) - tookMs / 2;
    const message = "the clocks of the token store and of this process differ; tokens follow the store's";
    if (differs > FAR_MS) skew.began({ skew_seconds: Math.round(ms) / 1000, ...where }, message);
    else if (differs < CLOSE_MS) skew.ended(where);
  }

  #at(key: string): Shard | undefined {
    return this.#shards.get(this.#map.nameOf(key));
  }

  #newShard(name: string): Shard {
    const { log } = this.#options;
    const absence = name === '' ? this.#absence : new Outage(log, 'the token store can be used again');
    const skew = new Outage(log, 'the clocks of the token store and of this process agree again');
    return { away: false, clock: undefined, absence, skew };
  }
}

const skewOf = (clock: number): number => clock + performance.now() - Date.now();

import { Cluster, type Redis } from 'ioredis';
import { type RedisClient, reasonOf, type StoreLog } from '../../redis/connection.ts';
import type { RevocationListener } from '../store.ts';
import { REVOKED_CHANNEL } from './token-scripts.ts';

const RECONNECT_MS = 250;
/** A connection that nothing comes over is asked this often whether it still stands. */
const PING_MS = 5000;

/** What is announced of a token without a record; of all others it is their session. */
const FORGOTTEN = /^forgotten (\S+) (\S+)$/;
export const forgotten = (tokenId: string, team: string): string => `forgotten ${team} ${tokenId}`;

/**
 * Hears the announcements of revoked sessions on a connection of its own, which exists while somebody listens. What is
 * announced while it is away is lost, so that listeners are told whenever it is back. Plain Pub/Sub reaches every node
 * of a Cluster, so that one connection to any of them is enough.
 */
export class Revocations {
  readonly #client: RedisClient;
  readonly #log: StoreLog;
  readonly #listeners = new Set<RevocationListener>();
  #subscriber: Redis | undefined;
  #timer: NodeJS.Timeout | undefined;
  #told = false;

  constructor(client: RedisClient, log: StoreLog) {
    this.#client = client;
    this.#log = log;
  }

  listen(listener: RevocationListener): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#connect();
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#disconnect();
    };
  }

  /** For one who learned of a revocation in another way. */
  tell(sessionId: string): void {
    for (const listener of this.#listeners) listener.revoked(sessionId);
  }

  /** Whether one of the listeners holds the session. */
  tellForgotten(tokenId: string, team: string): boolean {
    return [...this.#listeners].some((listener) => listener.forgotten?.(tokenId, team));
  }

  close(): void {
    this.#listeners.clear();
    this.#disconnect();
  }

  #connect(): void {
    const node = this.#client instanceof Cluster ? pick(this.#client.nodes('all')) : this.#client;
    if (!node) return this.#later(RECONNECT_MS);
    // Made anew each time, so that a Cluster's next node or a Sentinel's next master is found.
    const subscriber = node.duplicate({ retryStrategy: () => null, autoResubscribe: false, lazyConnect: false });
    this.#subscriber = subscriber;
    // The store's own connection tells of an outage.
    subscriber.on('error', () => undefined);
    subscriber.on('ready', () => void this.#subscribe(subscriber));
    subscriber.on('message', (_channel: string, message: string) => this.#hear(message));
    subscriber.on('end', () => {
      // A lost connection does not let go of the Sentinels that its connector listens to.
      subscriber.disconnect();
      if (subscriber === this.#subscriber) this.#later(RECONNECT_MS);
    });
  }

  #hear(message: string): void {
    const [, team, tokenId] = FORGOTTEN.exec(message) ?? [];
    if (team && tokenId) this.tellForgotten(tokenId, team);
    else this.tell(message);
  }

  async #subscribe(subscriber: Redis): Promise<void> {
    try {
      await subscriber.subscribe(REVOKED_CHANNEL);
    } catch (error) {
      if (subscriber !== this.#subscriber) return;
      if (!this.#told) this.#log.warn({ reason: reasonOf(error) }, 'revocations are heard only with the leases');
      this.#told = true;
      this.#disconnect();
      return this.#later(PING_MS);
    }
    if (subscriber !== this.#subscriber) return;
    this.#told = false;
    for (const listener of this.#listeners) listener.missed();
    this.#ping(subscriber);
  }

  /** What is not answered in time ends the connection (`socketTimeout`). */
  #ping(subscriber: Redis): void {
    if (subscriber !== this.#subscriber) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      subscriber.ping().then(
        () => this.#ping(subscriber),
        () => subscriber.disconnect(),
      );
    }, PING_MS).unref();
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), ms).unref();
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    const subscriber = this.#subscriber;
    this.#subscriber = undefined;
    subscriber?.disconnect();
  }
}

const pick = (nodes: readonly Redis[]): Redis | undefined => nodes[Math.floor(Math.random() * nodes.length)];

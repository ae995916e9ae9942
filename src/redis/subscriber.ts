import { Cluster, type Redis } from 'ioredis';
import { type RedisClient, reasonOf } from './connection.ts';

const RECONNECT_MS = 250;
/** A connection that nothing comes over is asked this often whether it still stands. */
const PING_MS = 5000;

export interface Subscription {
  channel: string;
  /** Called with every announcement. */
  heard(message: string): void;
  /** Called whenever the channel is heard again, also at the beginning: what was announced before that is lost. */
  missed(): void;
  /** Called when the channel may not be heard, once until it may. */
  refused(reason: string): void;
}

/**
 * Hears a channel on a connection of its own, beside the one that `client` has. Plain Pub/Sub reaches every node of a Cluster, so that
 * one connection to any of them is enough.
 */
export class Subscriber {
  readonly #client: RedisClient;
  readonly #subscription: Subscription;
  #subscriber: Redis | undefined;
  #timer: NodeJS.Timeout | undefined;
  #told = false;

  constructor(client: RedisClient, subscription: Subscription) {
    this.#client = client;
    this.#subscription = subscription;
  }

  open(): void {
    const node = this.#client instanceof Cluster ? pick(this.#client.nodes('all')) : this.#client;
    if (!node) return this.#later(RECONNECT_MS);
    // Made anew each time, so that a Cluster's next node or a Sentinel's next master is found.
    const subscriber = node.duplicate({ retryStrategy: () => null, autoResubscribe: false, lazyConnect: false });
    this.#subscriber = subscriber;
    // The connection beside it tells of an outage.
    subscriber.on('error', () => undefined);
    subscriber.on('ready', () => void this.#subscribe(subscriber));
    subscriber.on('message', (_channel: string, message: string) => this.#subscription.heard(message));
    subscriber.on('end', () => {
      // A lost connection does not let go of the Sentinels that its connector listens to.
      subscriber.disconnect();
      if (subscriber === this.#subscriber) this.#later(RECONNECT_MS);
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    const subscriber = this.#subscriber;
    this.#subscriber = undefined;
    subscriber?.disconnect();
  }

  async #subscribe(subscriber: Redis): Promise<void> {
    try {
      await subscriber.subscribe(this.#subscription.channel);
    } catch (error) {
      if (subscriber !== this.#subscriber) return;
      if (!this.#told) this.#subscription.refused(reasonOf(error));
      this.#told = true;
      this.close();
      return this.#later(PING_MS);
    }
    if (subscriber !== this.#subscriber) return;
    this.#told = false;
    this.#subscription.missed();
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
    this.#timer = setTimeout(() => this.open(), ms).unref();
  }
}

const pick = (nodes: readonly Redis[]): Redis | undefined => nodes[Math.floor(Math.random() * nodes.length)];

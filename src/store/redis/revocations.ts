import type { RedisClient, StoreLog } from '../../redis/connection.ts';
import { Subscriber } from '../../redis/subscriber.ts';
import type { SessionListener } from '../store.ts';
import { REVOKED_CHANNEL } from './token-scripts.ts';

/** What is announced of a token without a record; of all others it is their session. */
const FORGOTTEN = /^forgotten (\S+) (\S+)$/;
export const forgotten = (tokenId: string, team: string): string => `forgotten ${team} ${tokenId}`;

/**
 * Hears the announcements of revoked sessions on a connection of its own, which exists while somebody listens. What is
 * announced while it is away is lost, so that listeners are told whenever it is back.
 */
export class Revocations {
  readonly #subscriber: Subscriber;
  readonly #listeners = new Set<SessionListener>();

  constructor(client: RedisClient, log: StoreLog) {
    this.#subscriber = new Subscriber(client, {
      channel: REVOKED_CHANNEL,
      heard: (message) => this.#hear(message),
      missed: () => {
        for (const listener of this.#listeners) listener.missed();
      },
      refused: (reason) => log.warn({ reason }, 'revocations are heard only with the leases'),
    });
  }

  listen(listener: SessionListener): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#subscriber.open();
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#subscriber.close();
    };
  }

  /** For one who learned of a revocation in another way. */
  tell(sessionId: string): void {
    for (const listener of this.#listeners) listener.revoked(sessionId);
  }

  /** Of a session that another node holds by now. */
  tellMoved(sessionId: string): void {
    for (const listener of this.#listeners) listener.moved(sessionId);
  }

  /** Whether one of the listeners holds the session. */
  tellForgotten(tokenId: string, team: string): boolean {
    return [...this.#listeners].some((listener) => listener.forgotten?.(tokenId, team));
  }

  close(): void {
    this.#listeners.clear();
    this.#subscriber.close();
  }

  #hear(message: string): void {
    const [, team, tokenId] = FORGOTTEN.exec(message) ?? [];
    if (team && tokenId) this.tellForgotten(tokenId, team);
    else this.tell(message);
  }
}

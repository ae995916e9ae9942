import type { Logger } from 'pino';
import type { Endpoint } from '../directory/directory.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { TokenStore } from '../tokens/store.ts';
import type { Session } from './session.ts';

export interface RegistryOptions {
  store: Pick<TokenStore, 'renew' | 'releasePlace'>;
  log: Logger;
  renewEveryMs: number;
  /** Whether the flow behind the endpoint ends its sessions now. */
  isClosed(endpoint: Endpoint): boolean;
}

/** The sessions of this process, and the one timer that keeps their leases. */
export class SessionRegistry {
  readonly #sessions = new Map<string, Session>();
  readonly #store: Pick<TokenStore, 'renew' | 'releasePlace'>;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  readonly #isClosed: RegistryOptions['isClosed'];
  readonly #empty = Promise.withResolvers<void>();
  #closing: EndReason | undefined;

  constructor({ store, log, renewEveryMs, isClosed }: RegistryOptions) {
    this.#isClosed = isClosed;
    this.#store = store;
    this.#log = log;
    this.#timer = setInterval(() => void this.#renew(), renewEveryMs);
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A session whose burn was on its way when the stop came, or when its flow was closed, ends before it begins. */
  add(session: Session): void {
    this.#sessions.set(session.id, session);
    if (this.#closing !== undefined) session.end(this.#closing);
    else if (this.#isClosed(session.endpoint)) session.end('flow_closed');
  }

  /** Ends the sessions of the flows that end theirs; to be called whenever the directory may have changed. */
  endClosed(): void {
    for (const session of this.#sessions.values()) if (this.#isClosed(session.endpoint)) session.end('flow_closed');
  }

  remove(session: Session): void {
    this.#sessions.delete(session.id);
    if (this.#closing !== undefined && this.#sessions.size === 0) this.#empty.resolve();
  }

  /** Ends all sessions, before it returns, and waits until nothing of them is left. Idempotent. */
  async close(reason: EndReason): Promise<void> {
    clearInterval(this.#timer);
    this.#closing ??= reason;
    if (this.#sessions.size === 0) return;
    for (const session of this.#sessions.values()) session.end(this.#closing);
    await this.#empty.promise;
  }

  /** A store that is away ends no call: the next round renews what lapsed. */
  async #renew(): Promise<void> {
    const sessions = [...this.#sessions.values()].filter((session) => !session.over);
    if (sessions.length === 0) return;
    await this.#store.renew(sessions.map(({ lease }) => lease)).catch((error: unknown) => {
      this.#log.warn({ err: error, sessions: sessions.length }, 'leases could not be renewed; trying again');
    });
    // A place that was given back meanwhile may have been taken again by its renewal.
    for (const { over, lease } of sessions) if (over) this.#store.releasePlace(lease).catch(() => undefined);
  }
}

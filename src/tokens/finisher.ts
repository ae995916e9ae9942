import { hasCode } from '../errors.ts';
import type { StoreLog } from './redis/connection.ts';
import type { TokenStore } from './store.ts';

type End = Parameters<TokenStore['finish']>[0];

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2000;
const BATCH = 100;

interface Pending {
  end: End;
  settle: () => void;
}

/**
 * Repeats every `finish` until the store has it, so that an outage delays an end but loses none. Owned by the server.
 * What it holds is bounded by the sessions that were live when the store went away, since nothing is burned without it.
 */
export class Finisher {
  readonly #store: Pick<TokenStore, 'finish'>;
  readonly #log: StoreLog;
  /** By session, in the order in which the sessions ended. */
  readonly #pending = new Map<string, Pending>();
  readonly #idle = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #closed = false;

  constructor(store: Pick<TokenStore, 'finish'>, log: StoreLog) {
    this.#store = store;
    this.#log = log;
  }

  /** How many ends are not stored yet. */
  get size(): number {
    return this.#pending.size;
  }

  /** Resolves once the end is stored (or the finisher is closed); never rejects. Repeating it for a session is safe. */
  async finish(end: End): Promise<void> {
    if (this.#closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#pending.get(end.sessionId);
    const settle = (): void => {
      before?.settle();
      resolve();
    };
    this.#pending.set(end.sessionId, { end, settle });
    // While the store is away the retries are paced by the timer, whatever else ends meanwhile.
    if (!this.#timer && !(await this.#try(end.sessionId))) this.#schedule();
    await promise;
  }

  /** Resolves when every end is stored, or after `ms`; true if nothing is left. */
  async idle(ms: number): Promise<boolean> {
    if (this.#pending.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idle.add(resolve);
      const timer = setTimeout(resolve, ms);
      await promise;
      clearTimeout(timer);
      this.#idle.delete(resolve);
    }
    return this.#pending.size === 0;
  }

  /** Gives up what is not stored yet. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const sessionId of [...this.#pending.keys()]) this.#settle(sessionId);
  }

  #schedule(): void {
    if (this.#timer || this.#closed) return;
    this.#timer = setTimeout(() => void this.#retry(), this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  async #retry(): Promise<void> {
    while (this.#pending.size > 0 && !this.#closed) {
      const batch = [...this.#pending.keys()].slice(0, BATCH);
      const stored = await Promise.all(batch.map((sessionId) => this.#try(sessionId)));
      if (stored.includes(false)) break;
      this.#retryMs = FIRST_RETRY_MS;
    }
    this.#timer = undefined;
    if (this.#pending.size > 0) this.#schedule();
  }

  /** False when the store could not be asked. */
  async #try(sessionId: string): Promise<boolean> {
    const pending = this.#pending.get(sessionId);
    if (!pending) return true;
    try {
      await this.#store.finish(pending.end);
    } catch (error) {
      if (hasCode(error, 'unavailable')) return false;
      this.#log.warn({ err: error, session: sessionId }, 'the end of a session cannot be stored');
    }
    this.#settle(sessionId);
    return true;
  }

  #settle(sessionId: string): void {
    this.#pending.get(sessionId)?.settle();
    this.#pending.delete(sessionId);
    if (this.#pending.size > 0) return;
    for (const resolve of this.#idle) resolve();
  }
}

import { CallgateError, hasCode } from '../errors.ts';
import { Outage, type OutageLog } from '../shared/outage.ts';
import type { TokenStore } from '../store/store.ts';

type End = Parameters<TokenStore['finish']>[0];
type FinishingStore = Pick<TokenStore, 'finish' | 'isAway' | 'read'>;

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2000;
/** So many ends are tried again at the same time. */
const AT_ONCE = 100;

interface Pending {
  end: End;
  trying: boolean;
  /** An earlier try may have stored it. */
  unsure: boolean;
  settle: (isEnd: boolean) => void;
}

/**
 * Repeats every `finish` until the store has it, so that an outage delays an end but loses none. Each end stands for itself:
 * what cannot be stored in one part of the store keeps nothing from another. Owned by the server. What it holds is bounded by the sessions that were live when the store went away, since nothing is burned without it.
 */
export class Finisher {
  readonly #store: FinishingStore;
  readonly #log: OutageLog;
  readonly #outage: Outage;
  /** By session, in the order in which the sessions ended. */
  readonly #pending = new Map<string, Pending>();
  readonly #idle = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #closed = false;

  constructor(store: FinishingStore, log: OutageLog) {
    this.#store = store;
    this.#log = log;
    this.#outage = new Outage(log, 'all ends of sessions are stored');
  }

  /** How many ends are not stored yet. */
  get size(): number {
    return this.#pending.size;
  }

  /** Whether the end of this session is not stored yet. */
  isPending(sessionId: string): boolean {
    return this.#pending.has(sessionId);
  }

  /**
   * Resolves once the end is stored, to true; to false when the session is another node's to end, or the finisher is closed. Never
   * rejects. Repeating it for a session is safe.
   */
  async finish(end: End): Promise<boolean> {
    if (this.#closed) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const before = this.#pending.get(end.sessionId);
    const settle = (isEnd: boolean): void => {
      before?.settle(isEnd);
      resolve(isEnd);
    };
    this.#pending.set(end.sessionId, { end, trying: false, unsure: false, settle });
    await this.#try(end.sessionId);
    if (this.#pending.size > 0) this.#schedule();
    return promise;
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
    for (const sessionId of [...this.#pending.keys()]) this.#settle(sessionId, false);
  }

  #schedule(): void {
    if (this.#timer || this.#closed) return;
    this.#timer = setTimeout(() => void this.#retry(), this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  async #retry(): Promise<void> {
    const due = [...this.#pending.keys()].values();
    const before = this.#pending.size;
    // All of them take from the same iterator.
    const tryInTurn = async (): Promise<void> => {
      for (const sessionId of due) await this.#try(sessionId);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, tryInTurn));
    if (this.#pending.size < before) this.#retryMs = FIRST_RETRY_MS;
    this.#timer = undefined;
    if (this.#pending.size > 0) this.#schedule();
  }

  /** Asks the store, unless it is known not to take this one now. */
  async #try(sessionId: string): Promise<void> {
    const pending = this.#pending.get(sessionId);
    if (!pending || pending.trying || this.#closed) return;
    if (this.#store.isAway(pending.end.id)) return this.#tellAway();
    pending.trying = true;
    let isEnd = false;
    try {
      isEnd = (await this.#store.finish(pending.end)) || (await this.#isEnd(pending));
    } catch (error) {
      pending.trying = false;
      pending.unsure ||= !(error instanceof CallgateError && error.retryable);
      if (hasCode(error, 'unavailable')) return this.#tellAway();
      this.#log.warn({ err: error, session: sessionId }, 'the end of a session cannot be stored');
    }
    this.#settle(sessionId, isEnd);
  }

  /** Whether an end that the store does not take is the session's all the same: the record is lost, or an earlier try stored it. */
  async #isEnd({ end: { id, sessionId, reason }, unsure }: Pending): Promise<boolean> {
    const record = await this.#store.read(id);
    if (record === undefined) return true;
    return unsure && record.session?.id === sessionId && record.session.endReason === reason;
  }

  #tellAway(): void {
    this.#outage.began(
      { waiting: this.#pending.size },
      'ends of sessions cannot be stored now; they wait for the store',
    );
  }

  #settle(sessionId: string, isEnd: boolean): void {
    this.#pending.get(sessionId)?.settle(isEnd);
    this.#pending.delete(sessionId);
    if (this.#pending.size > 0) return;
    if (!this.#closed) this.#outage.ended();
    for (const resolve of this.#idle) resolve();
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { ReplyError } from 'ioredis';
import { CallgateError, hasCode } from '../../errors.ts';
import { type RedisClient, reasonOf } from './connection.ts';

/** A call as a whole answers or rejects within this many milliseconds, however often it is tried. */
const BUDGET_MS = 1800;
const PAUSE_MS = 25;

// Nothing was written to a socket (ioredis rejects these before it writes).
const NEVER_SENT = /enableOfflineQueue options is false$/;
// The server refused before the script could write anything. Redis before 7 wraps what a script's command says.
const REFUSED =
  /(?:^|[ -])(?:READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|OOM|MISCONF|NOREPLICAS|NOAUTH|NOPERM|BUSY|NOSCRIPT)\s/;

/**
 * Runs steps against Redis within one time budget and says honestly, when it fails, whether the step may have happened.
 * Owns the waiting for a connection that is on its way back.
 */
export class RedisCaller {
  readonly #client: RedisClient;
  readonly #waiting = new Set<() => void>();
  readonly #wake = (): void => {
    for (const resume of this.#waiting) resume();
  };
  #closed = false;
  #answering = false;

  constructor(client: RedisClient) {
    this.#client = client;
    client.on('ready', this.#wake);
  }

  /** Whether the last word from the store was an answer. */
  get answering(): boolean {
    return this.#answering && this.#ready();
  }

  /**
   * Runs one step. A step that is safe to repeat is tried again while the budget lasts; `once` is tried again only
   * where the last attempt certainly changed nothing. The budget runs from `since`.
   * Rejects with `unavailable`; `retryable` only if no attempt can have changed anything.
   */
  async call<T>(step: () => Promise<T>, { once = false, since = performance.now() } = {}): Promise<T> {
    try {
      return await this.#attempt(step, once, since + BUDGET_MS);
    } catch (error) {
      if (hasCode(error, 'unavailable')) this.#answering = false;
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#client.off('ready', this.#wake);
    this.#wake();
  }

  async #attempt<T>(step: () => Promise<T>, once: boolean, deadline: number): Promise<T> {
    let mayHaveHappened = false;
    for (;;) {
      if (!this.#ready() && !(await this.#connected(deadline))) throw unavailable(mayHaveHappened, 'no connection');
      if (this.#closed) throw unavailable(mayHaveHappened, 'closed');
      try {
        const result = await inTime(step(), deadline);
        if (result === LATE) throw unavailable(true, 'no answer');
        this.#answering = true;
        return result;
      } catch (error) {
        if (!isOutage(error)) throw error;
        mayHaveHappened ||= !isHarmless(error);
        if (once && mayHaveHappened) throw unavailable(true, reasonOf(error));
        if ((await inTime(sleep(PAUSE_MS), deadline)) === LATE) throw unavailable(mayHaveHappened, reasonOf(error));
      }
    }
  }

  async #connected(deadline: number): Promise<boolean> {
    if (this.#closed) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const outcome = await inTime(promise, deadline);
    this.#waiting.delete(resolve);
    return outcome !== LATE;
  }

  #ready(): boolean {
    return this.#client.status === 'ready';
  }
}

const LATE = Symbol('late');

/** What a promise settles with, or `LATE` at the deadline, a time of `performance.now()`. */
function inTime<T>(promise: Promise<T>, deadline: number): Promise<T | typeof LATE> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, Math.max(deadline - performance.now(), 1), LATE);
    const settle =
      <V>(how: (value: V) => void) =>
      (value: V) => {
        clearTimeout(timer);
        how(value);
      };
    promise.then(settle(resolve), settle(reject));
  });
}

const isReply = (error: unknown): boolean => error instanceof ReplyError;
const isHarmless = (error: unknown): boolean =>
  error instanceof Error && (NEVER_SENT.test(error.message) || (isReply(error) && REFUSED.test(error.message)));
// Any other error reply is a defect of ours (a script that fails), and must not look like an outage.
const isOutage = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof CallgateError) && (!isReply(error) || isHarmless(error));

const unavailable = (mayHaveHappened: boolean, reason: string): CallgateError =>
  new CallgateError('unavailable', { retryable: !mayHaveHappened, cause: new Error(`token store: ${reason}`) });

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
    const late = Promise.withResolvers<typeof LATE>();
    const timer = setTimeout(late.resolve, Math.max(since + BUDGET_MS - performance.now(), 1), LATE);
    try {
      return await this.#attempt(step, once, late.promise);
    } catch (error) {
      if (hasCode(error, 'unavailable')) this.#answering = false;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#closed = true;
    this.#client.off('ready', this.#wake);
    this.#wake();
  }

  async #attempt<T>(step: () => Promise<T>, once: boolean, late: Promise<typeof LATE>): Promise<T> {
    let mayHaveHappened = false;
    for (;;) {
      if (!(await this.#connected(late))) throw unavailable(mayHaveHappened, 'no connection');
      if (this.#closed) throw unavailable(mayHaveHappened, 'closed');
      try {
        const result = await Promise.race([step(), late]);
        if (result === LATE) throw unavailable(true, 'no answer');
        this.#answering = true;
        return result;
      } catch (error) {
        if (!isOutage(error)) throw error;
        mayHaveHappened ||= !isHarmless(error);
        if (once && mayHaveHappened) throw unavailable(true, reasonOf(error));
        if ((await Promise.race([sleep(PAUSE_MS), late])) === LATE) throw unavailable(mayHaveHappened, reasonOf(error));
      }
    }
  }

  async #connected(late: Promise<typeof LATE>): Promise<boolean> {
    if (this.#closed || this.#ready()) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const outcome = await Promise.race([promise, late]);
    this.#waiting.delete(resolve);
    return outcome !== LATE;
  }

  #ready(): boolean {
    return this.#client.status === 'ready';
  }
}

const LATE = Symbol('late');

const isReply = (error: unknown): boolean => error instanceof ReplyError;
const isHarmless = (error: unknown): boolean =>
  error instanceof Error && (NEVER_SENT.test(error.message) || (isReply(error) && REFUSED.test(error.message)));
// Any other error reply is a defect of ours (a script that fails), and must not look like an outage.
const isOutage = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof CallgateError) && (!isReply(error) || isHarmless(error));

const unavailable = (mayHaveHappened: boolean, reason: string): CallgateError =>
  new CallgateError('unavailable', { retryable: !mayHaveHappened, cause: new Error(`token store: ${reason}`) });

import { setTimeout as sleep } from 'node:timers/promises';
import { ReplyError } from 'ioredis';
import { CallgateError } from '../../errors.ts';
import { ATTEMPT_MS, type RedisClient, reasonOf } from './connection.ts';

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
   * Runs one step. A step that is safe to repeat is tried again while an attempt still fits into the budget; `once`
   * is tried again only where the last attempt certainly changed nothing. The budget runs from `since`.
   * Rejects with `unavailable`; `retryable` only if no attempt can have changed anything.
   */
  async call<T>(step: () => Promise<T>, { once = false, since = performance.now() } = {}): Promise<T> {
    const lastStart = since + BUDGET_MS - ATTEMPT_MS;
    let mayHaveHappened = false;
    for (;;) {
      let failure: unknown;
      if (await this.#connected(lastStart)) {
        try {
          const result = await step();
          this.#answering = true;
          return result;
        } catch (error) {
          failure = error;
          if (!isOutage(error)) throw error;
          mayHaveHappened ||= !isHarmless(error);
        }
      }
      this.#answering = false;
      if (this.#closed || (once && mayHaveHappened) || performance.now() + PAUSE_MS > lastStart) {
        throw unavailable(mayHaveHappened, failure);
      }
      await sleep(PAUSE_MS);
    }
  }

  close(): void {
    this.#closed = true;
    this.#client.off('ready', this.#wake);
    this.#wake();
  }

  async #connected(until: number): Promise<boolean> {
    if (this.#ready()) return true;
    const left = until - performance.now();
    if (this.#closed || left <= 0) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, left);
    this.#waiting.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
    return this.#ready();
  }

  #ready(): boolean {
    return this.#client.status === 'ready';
  }
}

const isReply = (error: unknown): boolean => error instanceof ReplyError;
const isHarmless = (error: unknown): boolean =>
  error instanceof Error && (NEVER_SENT.test(error.message) || (isReply(error) && REFUSED.test(error.message)));
// Any other error reply is a defect of ours (a script that fails), and must not look like an outage.
const isOutage = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof CallgateError) && (!isReply(error) || isHarmless(error));

const unavailable = (mayHaveHappened: boolean, failure: unknown): CallgateError =>
  new CallgateError('unavailable', {
    retryable: !mayHaveHappened,
    cause: failure === undefined ? undefined : new Error(`token store: ${reasonOf(failure)}`),
  });

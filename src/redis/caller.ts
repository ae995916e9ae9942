import { setTimeout as sleep } from 'node:timers/promises';
import { ReplyError } from 'ioredis';
import { CallgateError } from '../errors.ts';
import { deadline as endsIn } from '../shared/deadline.ts';
import { type RedisClient, reasonOf } from './connection.ts';

/** A call as a whole answers or rejects within this many milliseconds, however often it is tried. */
const BUDGET_MS = 1800;
/** Pauses between the tries of a call: what a server refuses, it mostly goes on refusing for a while. */
const FIRST_PAUSE_MS = 25;
const LAST_PAUSE_MS = 400;

// Nothing was written to a socket (ioredis rejects these before it writes).
const NEVER_SENT = /enableOfflineQueue options is false$/;
// The server takes no command of this kind, whatever its key: it would refuse the next one, too.
const SHUT = /(?:^|[ -])(?:READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|OOM|MISCONF|NOREPLICAS|NOAUTH|BUSY)\s/;
// The server refused before the script could write anything. Redis before 7 wraps what a script's command says.
const REFUSED = new RegExp(`${SHUT.source}|(?:^|[ -])(?:TRYAGAIN|MOVED|ASK|NOSCRIPT)\\s`);
// Every script reads its keys before it writes, so that a key of another type has changed nothing.
const WRONG_TYPE = /(?:^|[ -])WRONGTYPE\s|^ERR (?:Error running script.*|hash )?value is not an integer/;
// A script that met fields which it cannot have written.
const WRONG_FIELDS = /^ERR (?:user_script|Error running script)/;

/** The user of the connection may not do it, or the command has another name; Redis 7 says it in many ways. */
export const DENIED =
  /(?:^|[ -])NOPERM\s|^ERR (?:ACL failure in script|The user executing the script|unknown command|Unknown Redis command)/;
// A script may have written before it came to what it may not do.
const DENIED_IN_SCRIPT = /^ERR (?!unknown command)/;

export interface CallOptions {
  /** Not safe to repeat: tried again only where the last try certainly changed nothing. */
  once?: boolean;
  /** One try, and none where there is no connection: for what is asked again anyway. */
  oneTry?: boolean;
  /** When the budget began, by `performance.now()`. */
  since?: number;
}

export interface CallWatch {
  /** The user of the store may not do what was asked. */
  denied(): void;
  /** A call failed, and so would others whose key is on the same shard. */
  failed(key: string, reason: string): void;
  /** A key holds what a step of ours cannot have written. */
  unreadable(key: string, reason: string): void;
}

/** Of a key that holds what a step of ours cannot have written. */
export class UnreadableKey extends CallgateError {}

const UNWATCHED: CallWatch = { denied: () => undefined, failed: () => undefined, unreadable: () => undefined };

/**
 * Runs steps against Redis within one time budget and says honestly, when it fails, whether the step may have happened.
 * Owns the waiting for a connection that is on its way back.
 */
export class RedisCaller {
  readonly #client: RedisClient;
  readonly #watch: CallWatch;
  readonly #waiting = new Set<() => void>();
  readonly #wake = (): void => {
    for (const resume of this.#waiting) resume();
  };
  #closed = false;

  constructor(client: RedisClient, watch: CallWatch = UNWATCHED) {
    this.#client = client;
    this.#watch = watch;
    client.on('ready', this.#wake);
  }

  /**
   * Runs one step, whose first key is `key`. A step that is safe to repeat is tried again while the budget lasts.
   * Rejects with `unavailable`; `retryable` only if no try can have changed anything.
   */
  async call<T>(key: string, step: () => Promise<T>, options: CallOptions = {}): Promise<T> {
    const { once = false, oneTry = false, since = performance.now() } = options;
    const deadline = since + BUDGET_MS;
    let mayHaveHappened = false;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LAST_PAUSE_MS)) {
      if (!this.#ready() && (oneTry || !(await this.#connected(deadline)))) {
        throw this.#failure(key, mayHaveHappened, NO_CONNECTION);
      }
      if (this.#closed) throw unavailable(mayHaveHappened, 'closed');
      try {
        const result = await inTime(step(), deadline);
        if (result === LATE) throw this.#failure(key, true, NO_ANSWER);
        return result;
      } catch (error) {
        if (isDenied(error)) throw this.#denial(mayHaveHappened, error);
        if (isUnreadable(error)) throw this.unreadable(key, error);
        if (!isOutage(error)) throw error;
        mayHaveHappened ||= !isHarmless(error);
        const isLast = oneTry || (once && mayHaveHappened) || performance.now() + pause >= deadline;
        if (isLast) throw this.#failure(key, mayHaveHappened, error);
        await sleep(pause);
      }
    }
  }

  /** What a call rejects with whose key holds something else; nothing was changed there, unless a script of ours broke off. */
  unreadable(key: string, error: unknown): UnreadableKey {
    const reason = reasonOf(error);
    this.#watch.unreadable(key, reason);
    const retryable = !(error instanceof Error && WRONG_FIELDS.test(error.message));
    return new UnreadableKey('unavailable', { retryable, cause: new Error(`token store: ${reason} at ${key}`) });
  }

  #denial(mayHaveHappened: boolean, { message }: Error): CallgateError {
    this.#watch.denied();
    return unavailable(mayHaveHappened || DENIED_IN_SCRIPT.test(message), 'a right is missing');
  }

  close(): void {
    this.#closed = true;
    this.#client.off('ready', this.#wake);
    this.#wake();
  }

  #failure(key: string, mayHaveHappened: boolean, error: unknown): CallgateError {
    const reason = typeof error === 'string' ? error : reasonOf(error);
    if (!isReply(error) || isShut(error)) this.#watch.failed(key, reason);
    return unavailable(mayHaveHappened, reason);
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

export const NO_CONNECTION = 'no connection';
const NO_ANSWER = 'no answer';

const LATE = Symbol('late');

/** What a promise settles with, or `LATE` at the deadline, a time of `performance.now()`. */
function inTime<T>(promise: Promise<T>, deadline: number): Promise<T | typeof LATE> {
  return new Promise((resolve, reject) => {
    const inTime = endsIn(Math.max(deadline - performance.now(), 1), () => resolve(LATE));
    const settle =
      <V>(how: (value: V) => void) =>
      (value: V) => {
        inTime();
        how(value);
      };
    promise.then(settle(resolve), settle(reject));
  });
}

const isReply = (error: unknown): error is Error => error instanceof ReplyError;
const isDenied = (error: unknown): error is Error => isReply(error) && DENIED.test(error.message);
const isShut = ({ message }: Error): boolean => SHUT.test(message);
const isUnreadable = (error: unknown): boolean =>
  isReply(error) &&
  !REFUSED.test(error.message) &&
  (WRONG_TYPE.test(error.message) || WRONG_FIELDS.test(error.message));
const isHarmless = (error: unknown): boolean =>
  error instanceof Error && (NEVER_SENT.test(error.message) || (isReply(error) && REFUSED.test(error.message)));
// Any other error reply is a defect of ours (a script that fails), and must not look like an outage.
const isOutage = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof CallgateError) && (!isReply(error) || isHarmless(error));

const unavailable = (mayHaveHappened: boolean, reason: string): CallgateError =>
  new CallgateError('unavailable', { retryable: !mayHaveHappened, cause: new Error(`token store: ${reason}`) });

import { CallgateError } from '../../errors.ts';
import { importPublishedKeys, type VerificationKey } from '../keys.ts';

/** Keys that could not be renewed for this long are not used any more. */
const MAX_AGE_MS = 60 * 60 * 1000;
/** Between two fetches, whatever is asked for and however the last one went. */
const MIN_INTERVAL_MS = 5000;

/** The part of a pino logger that is told of key sets. */
export interface IssuerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface IssuerKeysOptions {
  iss: string;
  /** Where the set is read from, for the log. */
  from: string;
  /** Gets the JWK set; ends early when the signal says so. */
  load: (signal: AbortSignal) => Promise<unknown>;
  /** Known keys are used while a set older than this is renewed. */
  refreshMs: number;
  log: IssuerLog;
  /** Milliseconds that only ever grow. */
  now?: () => number;
}

/**
 * The keys that one issuer publishes. jose's remote set would fetch without a pause while the address is down, has no
 * bound on the size, waits for every renewal, and does not tell a key that is unknown from keys that cannot be had.
 */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #now: () => number;
  readonly #closing = new AbortController();
  #keys: ReadonlyMap<string, VerificationKey> = new Map();
  /** When the last attempt began, and when the last one that got a set did. */
  #triedAt = Number.NEGATIVE_INFINITY;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;
  #failing = true;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * The key of that id; undefined when the newest set that may be had, which an unknown id asks for, does not hold it.
   * Rejects with `unavailable`, retryable, while there is no set, or only one that is too old to go by.
   */
  async find(kid: string): Promise<VerificationKey | undefined> {
    const known = this.#usable(kid);
    if (known) {
      if (this.#now() - this.#loadedAt > this.#options.refreshMs) void this.#load();
      return known;
    }
    await this.#load();
    if (this.#current()) return this.#keys.get(kid);
    throw new CallgateError('unavailable', { retryable: true });
  }

  /** Gets the set again now, also if it was only just got; never rejects. */
  async reload(): Promise<void> {
    this.#triedAt = Number.NEGATIVE_INFINITY;
    await this.#load();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loading;
  }

  #usable(kid: string): VerificationKey | undefined {
    return this.#current() ? this.#keys.get(kid) : undefined;
  }

  #current(): boolean {
    return this.#now() - this.#loadedAt < MAX_AGE_MS;
  }

  /** Joins the attempt that is under way; otherwise makes one, unless the last is too recent. */
  #load(): Promise<void> {
    if (this.#loading) return this.#loading;
    const now = this.#now();
    if (this.#closing.signal.aborted || now - this.#triedAt < MIN_INTERVAL_MS) return Promise.resolve();
    this.#triedAt = now;
    this.#loading = this.#attempt(now).finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #attempt(startedAt: number): Promise<void> {
    const { iss, from, load, log } = this.#options;
    try {
      this.#keys = await importPublishedKeys(await load(this.#closing.signal));
      this.#loadedAt = startedAt;
      if (this.#failing) log.info({ iss, keys: this.#keys.size }, 'the keys of an issuer are known');
      this.#failing = false;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#failing = true;
      log.warn(
        { iss, from, reason: reasonOf(error) },
        'the keys of an issuer cannot be read; trying again when they are needed',
      );
    }
  }
}

/** `fetch` hides what happened in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { cause } = error;
  return cause instanceof Error
    ? `${error.message}: ${('code' in cause && cause.code) || cause.message}`
    : error.message;
}

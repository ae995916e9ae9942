const MINUTE_MS = 60_000;
/** Keys of one minute; past them it begins anew. */
const MAX_KEYS = 100_000;

/** Counts by key in windows of a minute; the clock is an argument. */
export class MinuteCount {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();
  #windowStart = Number.NEGATIVE_INFINITY;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts one in at `now` (monotonic, milliseconds); false when it is one too many. */
  record(key: string, now: number): boolean {
    if (now - this.#windowStart >= MINUTE_MS || this.#counts.size >= MAX_KEYS) {
      this.#windowStart = now;
      this.#counts.clear();
    }
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count <= this.#limit;
  }
}

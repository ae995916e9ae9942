/** At most `limit` messages, or bytes, in any one-second window that starts with the first; the clock is an argument. */
export class MessageRate {
  readonly #limit: number;
  #windowStart = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts a message, or so many bytes, in at `now` (monotonic, milliseconds); false when it is too much. */
  allow(now: number, amount = 1): boolean {
    if (now - this.#windowStart >= 1000) {
      this.#windowStart = now;
      this.#count = 0;
    }
    this.#count += amount;
    return this.#count <= this.#limit;
  }
}

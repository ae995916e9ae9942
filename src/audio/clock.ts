/** A monotonic clock and its timers, in milliseconds. */
export interface Clock {
  now(): number;
  /** Returns what calls it off. */
  after(ms: number, due: () => void): () => void;
}

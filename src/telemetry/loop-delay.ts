import { createHistogram } from 'node:perf_hooks';

const TICK_MS = 10;
const QUANTILES = [0.5, 0.9, 0.99, 1] as const;

export type LoopDelays = readonly { quantile: (typeof QUANTILES)[number]; seconds: number }[];

/**
 * How much later than due a timer of 10 ms fires. Node's own `monitorEventLoopDelay` counts the 10 ms as delay, and forgets
 * the tick under way whenever it is reset: a block of the loop that begins right after a scrape would never show.
 */
export class LoopDelay {
  readonly #delays = createHistogram();
  readonly #timer: NodeJS.Timeout;
  #last = performance.now();

  constructor() {
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** The quantiles since the last call, and begins anew; empty where nothing was measured in between. */
  take(): LoopDelays {
    if (this.#delays.count === 0) return [];
    const taken = QUANTILES.map((quantile) => ({ quantile, seconds: this.#delays.percentile(quantile * 100) / 1e9 }));
    this.#delays.reset();
    return taken;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    // A histogram takes whole nanoseconds from 1 on.
    this.#delays.record(Math.max(1, Math.round((now - this.#last - TICK_MS) * 1e6)));
    this.#last = now;
  }
}

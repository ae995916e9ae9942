/** How often each process ticks the store's steady clock, in milliseconds. */
export const TICK_MS = 5000;

/** After a failed tick the next one comes sooner, so that the store's return is noticed. */
const RETRY_MS = 250;

/**
 * A process's view of the store-wide steady clock: the last tick's answer plus the monotonic time since. Owns its timer.
 */
export class SteadyClock {
  readonly #tick: (known: number | undefined) => Promise<number>;
  readonly #tickMs: number;
  #timer: NodeJS.Timeout | undefined;
  #base: { steady: number; at: number } | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  /** `tick` asks the store once; it is told what this process would say, and rejects when there is no answer. */
  constructor(tick: (known: number | undefined) => Promise<number>, tickMs: number) {
    this.#tick = tick;
    this.#tickMs = tickMs;
  }

  /** The steady time in whole milliseconds; undefined until the first tick was answered. */
  get now(): number | undefined {
    return this.#base && Math.round(this.#base.steady + performance.now() - this.#base.at);
  }

  /** Ticks now (one tick at a time) and from then on by itself; never rejects. */
  tick(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#running ??= this.#ask().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    const answered = await this.#tick(this.now).then(
      (steady) => {
        this.#base = { steady, at: performance.now() };
        return true;
      },
      () => false,
    );
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.tick(), answered ? this.#tickMs : Math.min(RETRY_MS, this.#tickMs)).unref();
  }
}

import type { Clock } from '../../src/audio/clock.ts';

/** A clock that goes when it is told to. */
export class FakeClock implements Clock {
  #now = 1000.25;
  #timers: { at: number; due: () => void }[] = [];

  now = () => this.#now;

  after(ms: number, due: () => void): () => void {
    const timer = { at: this.#now + ms, due };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** As real ones, timers fire up to a millisecond late. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || Math.ceil(next.at) > until) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#now = Math.max(this.#now, Math.ceil(next.at));
      next.due();
    }
    this.#now = until;
  }

  /** The process stands still meanwhile. */
  stop(ms: number): void {
    this.#now += ms;
  }
}

import { now } from './now.ts';
import type { Timings } from './types.ts';

/** When each step was reached first. */
export class Stopwatch {
  readonly timings: Timings = {};
  readonly #startedAt = now();
  readonly #marked: (step: { name: keyof Timings; ms: number }) => void;

  constructor(marked: (step: { name: keyof Timings; ms: number }) => void) {
    this.#marked = marked;
  }

  mark(name: keyof Timings): void {
    if (this.timings[name] !== undefined) return;
    const ms = now() - this.#startedAt;
    this.timings[name] = ms;
    this.#marked({ name, ms });
  }
}

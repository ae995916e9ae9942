import type { Stage } from './outcome.ts';
import { percentiles } from './percentiles.ts';
import type { Percentiles } from './report.ts';

/** A run goes on as long as it likes; what its screen remembers does not. */
const NEWEST = 5000;

/** How long the newest sessions took to each stage, for the screen of a run. */
export class Latencies {
  readonly #newest = new Map<Stage, number[]>();

  add(stage: Stage, ms: number): void {
    const values = this.#newest.get(stage) ?? [];
    this.#newest.set(stage, values);
    if (values.push(ms) > 2 * NEWEST) values.splice(0, NEWEST);
  }

  of(stage: Stage): Percentiles {
    return percentiles(this.#newest.get(stage)?.slice(-NEWEST) ?? []);
  }
}

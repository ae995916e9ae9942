import { seededRandom } from '../../src/load/random.ts';

/** All chance of one run: the same for the same seed. */
export class Chance {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed, 0);
  }

  of(probability: number): boolean {
    return this.#random() < probability;
  }

  between(low: number, high: number): number {
    return low + this.#random() * (high - low);
  }

  /** A whole number from 0 up to, but not, `count`. */
  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  one<T>(things: readonly T[]): T | undefined {
    return things[this.below(things.length)];
  }
}

import type { CallOptions, RedisCaller } from '../../redis/caller.ts';
import { FOREIGN_FAMILIES } from '../../tokens/claims.ts';
import type { BirthSteps } from './birth-scripts.ts';
import { fenceKey } from './keys.ts';

/** What a process remembers of a partition: a life of its shard, and what the clock of that life must say by now. */
export type Memory = readonly [life: string, clock: number | ''];

const NOTHING: Memory = ['', ''];

/**
 * The fences of the partitions, as one process knows them. It goes on counting the clock of a life that has ended, so that
 * the next one cannot begin before the last burns of it, however little of it was replicated.
 */
export class Fences {
  readonly #steps: BirthSteps;
  readonly #caller: RedisCaller;
  /** By family: the life, and the store's clock less the monotonic one. */
  readonly #lives = new Map<string, { life: string; offset: number }>();

  constructor(steps: BirthSteps, caller: RedisCaller) {
    this.#steps = steps;
    this.#caller = caller;
  }

  memory(family: string): Memory {
    const known = this.#lives.get(family);
    return known ? [known.life, Math.ceil(known.offset + performance.now())] : NOTHING;
  }

  /** The store's clock, and since when it remembers all burns of the family. */
  async ask(family: string, options: CallOptions = {}): Promise<{ now: number; since: number }> {
    // From before the question, so that it is never less than what the store's clock said.
    let asked = 0;
    const key = fenceKey(family);
    const step = () => {
      asked = performance.now();
      return this.#steps.callgateFence(key, ...this.memory(family));
    };
    const [now, since, life] = await this.#caller.call(key, step, options);
    this.#lives.set(family, { life, offset: now - asked });
    return { now, since };
  }

  /**
   * Asks them all, in time, so that a token issued after a life of the store began is not the first to ask when that was.
   * Whoever burns such a token asks as well, and is told when there is no answer.
   */
  keep(): void {
    for (const family of FOREIGN_FAMILIES) this.ask(family, { oneTry: true }).catch(() => undefined);
  }
}

import type { CallOptions, RedisCaller } from '../../redis/caller.ts';
import { FOREIGN_FAMILIES } from '../../tokens/claims.ts';
import type { ForeignTokenSteps } from './foreign-token-scripts.ts';
import { fenceKey } from './keys.ts';

/** The generation of a shard that a process saw last, and what its clock must say now; both empty when it saw none. */
export type SeenGeneration = readonly [generation: string, clock: number | ''];

const NONE: SeenGeneration = ['', ''];

/**
 * The fences of the partitions, as one process knows them. It goes on counting the clock of a generation that has ended, so
 * that the next one cannot begin before the last burns of it, however little of it was replicated.
 */
export class Fences {
  readonly #steps: ForeignTokenSteps;
  readonly #caller: RedisCaller;
  /** By family: the generation, and the store's clock less the monotonic one. */
  readonly #seen = new Map<string, { generation: string; offset: number }>();

  constructor(steps: ForeignTokenSteps, caller: RedisCaller) {
    this.#steps = steps;
    this.#caller = caller;
  }

  seen(family: string): SeenGeneration {
    const seen = this.#seen.get(family);
    return seen ? [seen.generation, Math.ceil(seen.offset + performance.now())] : NONE;
  }

  /** The store's clock, and since when it has all burns of the family. */
  async ask(family: string, options: CallOptions = {}): Promise<{ now: number; since: number }> {
    // From before the question, so that it is never less than what the store's clock said.
    let asked = 0;
    const key = fenceKey(family);
    const step = () => {
      asked = performance.now();
      return this.#steps.callgateFence(key, ...this.seen(family));
    };
    const [now, since, generation] = await this.#caller.call(key, step, options);
    this.#seen.set(family, { generation, offset: now - asked });
    return { now, since };
  }

  /**
   * Asks for all partitions, so that a generation's start is known before the first token that was issued after it arrives.
   * A burn of such a token asks as well, and rejects when there is no answer.
   */
  keep(): void {
    for (const family of FOREIGN_FAMILIES) this.ask(family, { oneTry: true }).catch(() => undefined);
  }
}

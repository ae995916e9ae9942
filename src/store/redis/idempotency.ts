import type { RedisCaller } from '../../redis/caller.ts';
import { CLAIM_MS, type Claim, type ClaimAnswer, IDEMPOTENCY_MS } from '../idempotency.ts';
import type { SideSteps } from './side-scripts.ts';

/** Idempotency keys that all processes share: `callgate:{idempotency:<hash>}`. */
export class RedisIdempotencyKeys {
  readonly #steps: SideSteps;
  readonly #caller: RedisCaller;

  constructor(steps: SideSteps, caller: RedisCaller) {
    this.#steps = steps;
    this.#caller = caller;
  }

  async claim({ key: hash, request, tokenId }: Claim): Promise<ClaimAnswer> {
    const key = keyOf(hash);
    const answer = await this.#caller.call(key, () => this.#steps.callgateClaim(key, request, tokenId, CLAIM_MS));
    return typeof answer === 'string' ? answer : { done: answer[0] };
  }

  async settle({ key: hash, tokenId }: Claim): Promise<boolean> {
    const key = keyOf(hash);
    return (await this.#caller.call(key, () => this.#steps.callgateSettle(key, tokenId, IDEMPOTENCY_MS))) === 1;
  }

  async release({ key: hash, tokenId }: Claim): Promise<void> {
    const key = keyOf(hash);
    await this.#caller.call(key, () => this.#steps.callgateRelease(key, tokenId));
  }
}

const keyOf = (hash: string): string => `callgate:{idempotency:${hash}}`;

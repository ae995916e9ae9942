import { CLAIM_MS, type Claim, type ClaimAnswer, IDEMPOTENCY_MS, type IdempotencyKeys } from '../idempotency.ts';
import type { RedisCaller } from './caller.ts';
import type { SideSteps } from './side-scripts.ts';

/** Idempotency keys that all processes share: `callgate:{idempotency:<hash>}`. */
export class RedisIdempotencyKeys implements IdempotencyKeys {
  readonly #steps: SideSteps;
  readonly #caller: RedisCaller;

  constructor(steps: SideSteps, caller: RedisCaller) {
    this.#steps = steps;
    this.#caller = caller;
  }

  async claim({ key, request, tokenId }: Claim): Promise<ClaimAnswer> {
    const step = () => this.#steps.callgateClaim(keyOf(key), request, tokenId, CLAIM_MS);
    const answer = await this.#caller.call(step);
    return typeof answer === 'string' ? answer : { done: answer[0] };
  }

  async settle({ key, tokenId }: Claim): Promise<boolean> {
    return (await this.#caller.call(() => this.#steps.callgateSettle(keyOf(key), tokenId, IDEMPOTENCY_MS))) === 1;
  }

  async release({ key, tokenId }: Claim): Promise<void> {
    await this.#caller.call(() => this.#steps.callgateRelease(keyOf(key), tokenId));
  }
}

const keyOf = (hash: string): string => `callgate:{idempotency:${hash}}`;

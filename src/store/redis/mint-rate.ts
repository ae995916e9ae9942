import { RateLimiterRedis } from 'rate-limiter-flexible';
import type { RedisCaller } from '../../redis/caller.ts';
import type { RedisClient } from '../../redis/connection.ts';
import { COUNTER, countMint, type RateRule, type RateStatus } from '../mint-rate.ts';

const PREFIX = 'callgate:rate';

/** Counters that all processes share: `callgate:rate:{team:<team>}`. A reply that was lost may count a mint twice. */
export class RedisMintRate {
  readonly #limiter: RateLimiterRedis;
  readonly #caller: RedisCaller;

  constructor(client: RedisClient, caller: RedisCaller) {
    this.#limiter = new RateLimiterRedis({ ...COUNTER, storeClient: client, keyPrefix: PREFIX });
    this.#caller = caller;
  }

  take(team: string, rule: RateRule): Promise<RateStatus> {
    const key = `{team:${team}}`;
    return this.#caller.call(`${PREFIX}:${key}`, () => countMint(this.#limiter, key, rule));
  }
}

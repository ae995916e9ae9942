import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Config } from '../config/config.ts';
import type { PeerAddress } from '../http/address.ts';

/** Failed presentations per address; loopback is left alone unless the settings say otherwise. */
export class AddressLimits {
  readonly #failures: RateLimiterMemory;
  readonly #limitLoopback: boolean;

  constructor(admission: Config['admission']) {
    this.#limitLoopback = admission.limit_loopback;
    this.#failures = new RateLimiterMemory({ points: admission.failed_presentations_per_minute, duration: 60 });
  }

  /** Counts a failed presentation in; false once the address has had more than it may in this minute. */
  async recordFailure({ key, loopback }: PeerAddress): Promise<boolean> {
    if (key === undefined || (loopback && !this.#limitLoopback)) return true;
    return this.#failures.consume(key).then(
      () => true,
      () => false,
    );
  }
}

import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Config } from '../config.ts';
import type { PeerAddress } from './address.ts';

/** Sockets and failed presentations per address; loopback is left alone unless the settings say otherwise. */
export class AddressLimits {
  readonly #sockets = new Map<string, number>();
  readonly #failures: RateLimiterMemory;
  readonly #socketsPerAddress: number;
  readonly #limitLoopback: boolean;

  constructor(admission: Config['admission']) {
    this.#socketsPerAddress = admission.sockets_per_address;
    this.#limitLoopback = admission.limit_loopback;
    this.#failures = new RateLimiterMemory({ points: admission.failed_presentations_per_minute, duration: 60 });
  }

  /** Counts a socket in; false when the address already has as many as it may. */
  openSocket({ key, loopback }: PeerAddress): boolean {
    const open = (this.#sockets.get(key) ?? 0) + 1;
    if (open > this.#socketsPerAddress && this.#applies(loopback)) return false;
    this.#sockets.set(key, open);
    return true;
  }

  closeSocket({ key }: PeerAddress): void {
    const open = (this.#sockets.get(key) ?? 0) - 1;
    if (open > 0) this.#sockets.set(key, open);
    else this.#sockets.delete(key);
  }

  /** Counts a failed presentation in; false once the address has had more than it may in this minute. */
  async recordFailure({ key, loopback }: PeerAddress): Promise<boolean> {
    if (!this.#applies(loopback)) return true;
    return this.#failures.consume(key).then(
      () => true,
      () => false,
    );
  }

  #applies(loopback: boolean): boolean {
    return !loopback || this.#limitLoopback;
  }
}

import type { Config } from '../config/config.ts';
import { MinuteCount } from '../shared/minute-count.ts';
import type { PeerAddress } from './address.ts';

/** Statuses that say that somebody may not, whatever the request. */
export const REFUSALS: ReadonlySet<number> = new Set([401, 403, 429]);

/** Requests per address that may be refused in a minute and still be told why; loopback is left alone as by the other limits. */
export class Refusals {
  readonly #counts: MinuteCount;
  readonly #limitLoopback: boolean;

  constructor(admission: Config['admission']) {
    this.#counts = new MinuteCount(admission.failed_presentations_per_minute);
    this.#limitLoopback = admission.limit_loopback;
  }

  /** Counts one in; false once the address has had more than it may in this minute. */
  record({ key, loopback }: PeerAddress): boolean {
    if (key === undefined || (loopback && !this.#limitLoopback)) return true;
    return this.#counts.record(key, performance.now());
  }
}

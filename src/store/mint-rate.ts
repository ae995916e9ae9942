import { type RateLimiterAbstract, RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';

export interface RateRule {
  limit: number;
  windowSeconds: number;
}

/** Where a team stands after a mint was counted. */
export interface RateStatus {
  allowed: boolean;
  remaining: number;
  /** Until the window ends and all of the limit is there again. */
  resetMs: number;
}

/**
 * Options of a limiter that only counts. The limit is compared here, because each team has its own and a directory may
 * change it; a window that has begun keeps its length.
 */
export const COUNTER = { points: Number.MAX_SAFE_INTEGER, duration: 1 } as const;

/** Counts with a limiter of those options. */
export async function countMint(
  limiter: Pick<RateLimiterAbstract, 'consume'>,
  key: string,
  { limit, windowSeconds }: RateRule,
): Promise<RateStatus> {
  const { consumedPoints, msBeforeNext }: RateLimiterRes = await limiter.consume(key, 1, {
    customDuration: windowSeconds,
  });
  return {
    allowed: consumedPoints <= limit,
    remaining: Math.max(limit - consumedPoints, 0),
    resetMs: Math.max(msBeforeNext, 0),
  };
}

/** The counters of one process; each has a timer that holds nobody and ends with its window. */
export class MemoryMintRate {
  readonly #limiter = new RateLimiterMemory({ ...COUNTER, keyPrefix: '' });

  take(team: string, rule: RateRule): Promise<RateStatus> {
    return countMint(this.#limiter, team, rule);
  }
}

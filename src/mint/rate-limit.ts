import type { FastifyReply } from 'fastify';
import type { Team } from '../directory/directory.ts';
import { CallgateError } from '../errors.ts';
import type { RateRule, RateStatus } from '../store/mint-rate.ts';

/** Counts the mints of each team in fixed windows. */
export interface MintRate {
  /** Counts one mint, also one beyond the limit. Rejects with `unavailable` when it cannot be counted. */
  take(team: string, rule: RateRule): Promise<RateStatus>;
}

/**
 * Counts a mint of a team, and says in the answer where the team stands: `RateLimit-Policy` and `RateLimit` of
 * draft-ietf-httpapi-ratelimit-headers-10.
 * @throws {CallgateError} `rate_limited` until the window ends; `unavailable`
 */
export async function limitMints(rate: MintRate, { id, mintRate }: Team, reply: FastifyReply): Promise<void> {
  const { allowed, remaining, resetMs } = await rate.take(id, mintRate);
  const seconds = Math.max(Math.ceil(resetMs / 1000), 1);
  reply.header('ratelimit-policy', `"mint";q=${mintRate.limit};w=${mintRate.windowSeconds}`);
  reply.header('ratelimit', `"mint";r=${remaining};t=${seconds}`);
  if (!allowed) throw new CallgateError('rate_limited', { retryAfter: seconds });
}

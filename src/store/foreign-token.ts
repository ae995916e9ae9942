import { setTimeout as sleep } from 'node:timers/promises';
import { CallgateError } from '../errors.ts';
import type { BurnRefusal, ForeignToken } from './store.ts';

/** The most that an issuer's clock may run ahead of the store's: the largest leeway there is. */
const MAX_EARLY_MS = 60_000;

/** A token whose `iat`, by its issuer's clock, lies so many milliseconds ahead of the store's clock. */
export interface Early {
  earlyMs: number;
}

/**
 * Burns a foreign token once the store's clock has passed its `iat`, and waits for that once: so no token that was burned
 * before the store's present generation began can claim to have been issued after it.
 */
export async function onceIssued<T>(burn: () => Promise<T | Early>): Promise<T> {
  const first = await burn();
  if (!isEarly(first)) return first;
  if (first.earlyMs > MAX_EARLY_MS) throw notYet();
  await sleep(first.earlyMs + 1, undefined, { ref: false });
  const second = await burn();
  if (isEarly(second)) throw notYet();
  return second;
}

/** Why a burn of a foreign token without a record is refused, if it is; `since` is when the store's generation began. */
export function refusalOfForeign(
  { issuedAt, expiresAt }: ForeignToken,
  at: { now: number; since: number },
): BurnRefusal | undefined {
  if (issuedAt < at.since) return 'token_unknown';
  return at.now >= expiresAt ? 'token_expired' : undefined;
}

const isEarly = (answer: unknown): answer is Early =>
  typeof answer === 'object' && answer !== null && 'earlyMs' in answer;

const notYet = () => new CallgateError('unavailable', { retryable: true });

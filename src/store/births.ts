import { setTimeout as sleep } from 'node:timers/promises';
import { CallgateError } from '../errors.ts';
import type { Birth, BurnRefusal } from './store.ts';

/** The most that an issuer's clock may run ahead of the store's: the largest leeway there is. */
const MAX_EARLY_MS = 60_000;

/** A token that was issued, by its issuer's clock, so many milliseconds after the store's present. */
export interface Early {
  earlyMs: number;
}

/**
 * Burns a token minted elsewhere, after its `iat` by the store's clock: so no token that was burned before a life of the
 * store began can claim to have been issued after that. Waits for what is left to it, once.
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

/** What a burn of a token without a record would refuse; `since` is when the store's present life began. */
export function refusalOfBirth(
  { issuedAt, expiresAt }: Birth,
  at: { now: number; since: number },
): BurnRefusal | undefined {
  if (issuedAt < at.since) return 'token_unknown';
  return at.now >= expiresAt ? 'token_expired' : undefined;
}

const isEarly = (answer: unknown): answer is Early =>
  typeof answer === 'object' && answer !== null && 'earlyMs' in answer;

const notYet = () => new CallgateError('unavailable', { retryable: true });

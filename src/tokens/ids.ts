import { randomBytes } from 'node:crypto';
import { FAMILY_BYTES, formatTokenId, RANDOM_BYTES } from './claims.ts';

/** A fresh token id; a refreshed token keeps the family of the one before it. */
export function newTokenId(family?: string): string {
  // One draw for both parts: asking the system for randomness costs more than the bytes do.
  const bytes = randomBytes(FAMILY_BYTES + RANDOM_BYTES).toString('hex');
  return formatTokenId({
    family: family ?? bytes.slice(0, FAMILY_BYTES * 2),
    random: bytes.slice(FAMILY_BYTES * 2),
  });
}

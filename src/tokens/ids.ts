import { randomBytes } from 'node:crypto';
import { FAMILY_BYTES, formatTokenId, RANDOM_BYTES } from './claims.ts';

/** A fresh token id; a refreshed token keeps the family of the one before it. */
export const newTokenId = (family = randomBytes(FAMILY_BYTES).toString('hex')): string =>
  formatTokenId({ family, random: randomBytes(RANDOM_BYTES).toString('hex') });

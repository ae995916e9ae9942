import { randomText } from '../random.ts';
import { FAMILY_BYTES, formatTokenId, RANDOM_BYTES } from './claims.ts';

/** A fresh token id; a refreshed token keeps the family of the one before it. */
export const newTokenId = (family = randomText(FAMILY_BYTES, 'hex')): string =>
  formatTokenId({ family, random: randomText(RANDOM_BYTES, 'hex') });

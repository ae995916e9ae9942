import { hash } from 'node:crypto';
import { randomText } from '../shared/random.ts';
import { FAMILY_BYTES, formatTokenId, RANDOM_BYTES } from './claims.ts';

/** A fresh token id; a refreshed token keeps the family of the one before it. */
export const newTokenId = (family = randomText(FAMILY_BYTES, 'hex')): string =>
  formatTokenId({ family, random: randomText(RANDOM_BYTES, 'hex') });

/**
 * The id of a refreshed token that equal requests share: one that could not tell its answer is answered by the next, from
 * the records alone.
 */
export const successorId = (family: string, request: string): string =>
  formatTokenId({ family, random: hash('sha256', request).slice(0, RANDOM_BYTES * 2) });

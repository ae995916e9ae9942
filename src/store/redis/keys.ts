import { isName, parseTokenId } from '../../tokens/claims.ts';

/** The family is the hash tag; undefined for what is not a token id, which therefore never reaches a key. */
export function tokenKey(id: string): string | undefined {
  const parts = parseTokenId(id);
  return parts && `callgate:{${parts.family}}:${parts.random}`;
}

export function placesKey(endpointId: string): string {
  assertName(endpointId);
  return `callgate:{endpoint:${endpointId}}:places`;
}

/** @throws TypeError for what could mean something in a key */
export function assertName(name: string): void {
  if (!isName(name)) throw new TypeError('an id has a wrong form');
}

/** The fence of the partition that a foreign token belongs to: on the slot of its record. */
export const fenceKey = (family: string): string => `callgate:{${family}}:fence`;

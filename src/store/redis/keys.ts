import { isName, parseTokenId } from '../../tokens/claims.ts';

/** The family is the hash tag; undefined for what is not a token id, which therefore never reaches a key. */
export function tokenKey(id: string): string | undefined {
  const parts = parseTokenId(id);
  return parts && `callgate:{${parts.family}}:${parts.random}`;
}

/** What the id of each session of a token begins with. */
export const sessionPrefix = (tokenId: string): string => tokenId.replace(/^ct_/, 'sess_');

/**
 * How a record names its session: without what its own id says. A hash whose values have 64 bytes at most costs Redis half the
 * memory, and a third less time to write (`hash-max-listpack-value`).
 */
export function storedSession(tokenId: string, sessionId: string): string {
  const prefix = sessionPrefix(tokenId);
  return sessionId.startsWith(`${prefix}_`) ? sessionId.slice(prefix.length) : sessionId;
}

export const readSessionId = (tokenId: string, stored: string): string =>
  stored.startsWith('_') ? sessionPrefix(tokenId) + stored : stored;

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

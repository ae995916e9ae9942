import type { TokenStore } from '../store/store.ts';
import { newTokenId } from '../tokens/ids.ts';

/** So many ids are tried before one is taken whose record lies where the store cannot be reached. */
const MAX_TRIES = 100;

/** A fresh id; where the choice of a family is free, one of a part of the store that is there. */
export function freshTokenId(store: Pick<TokenStore, 'away' | 'isAway'>, family?: string): string {
  let id = newTokenId(family);
  if (family !== undefined || store.away.length === 0) return id;
  for (let tries = 1; store.isAway(id) && tries < MAX_TRIES; tries++) id = newTokenId();
  return id;
}

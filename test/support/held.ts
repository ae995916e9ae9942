import type { HeldSession } from '../../src/store/store.ts';

/** What a node says of every session that it burns, holds or ends, beside its ids. */
export const HELD = {
  node: 'n_tttttttt',
  epoch: 1,
  tickets: ['first'],
  resume: '{}',
  startedAt: 0,
  expiresAt: 0,
} satisfies Omit<HeldSession, 'tokenId' | 'endpointId' | 'sessionId'>;

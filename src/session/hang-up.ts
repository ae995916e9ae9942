import type { TokenStore } from '../store/store.ts';
import { tokenOfSession } from '../tokens/session-id.ts';
import type { SessionRegistry } from './registry.ts';

export interface HangUpParts {
  registry: SessionRegistry;
  store: Pick<TokenStore, 'read' | 'revoke'>;
}

/** Ends a session of the team, wherever it is; false when the team has none of this id. */
export async function hangUp({ registry, store }: HangUpParts, sessionId: string, team: string): Promise<boolean> {
  const session = registry.get(sessionId);
  if (session !== undefined) {
    const isTheirs = session.endpoint.team === team && !session.over;
    if (isTheirs) session.end('completed');
    return isTheirs;
  }
  const tokenId = tokenOfSession(sessionId);
  const record = tokenId === undefined ? undefined : await store.read(tokenId, team);
  if (record?.status !== 'active' || record.session?.id !== sessionId) return false;
  // Whichever node holds it hears of that.
  return (await store.revoke(record.id, team)) === 'active';
}

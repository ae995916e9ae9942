import type { SessionInfo } from '../protocol/messages.ts';
import type { SessionDetails } from './types.ts';

/** What a page may know of its session; the ticket stays inside. */
export const sessionDetails = ({ id, endpoint_id, expires_at, expires_in_ms }: SessionInfo): SessionDetails => ({
  id,
  endpointId: endpoint_id,
  expiresAt: new Date(expires_at),
  expiresInMs: expires_in_ms,
});

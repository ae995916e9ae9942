import type { EndReason } from '../protocol/codes.ts';
import type { BurnRefusal, CallTokenRecord, CallTokenStatus, SessionOwner } from './store.ts';

/** A record as both stores keep it; what `expired` and lapsed is never written, only read out of it. */
export interface StoredToken {
  status: 'issued' | 'active' | 'completed' | 'revoked';
  endpointId: string;
  team: string;
  createdAt: number;
  expiresAt: number;
  maxDurationMs: number;
  metadata?: Record<string, string>;
  fingerprint?: string;
  revokedAt?: number;
  /** True when the shard is not the one that issued it: its copy may have forgotten a burn. */
  fenced: boolean;
  session?: StoredSession;
}

export interface StoredSession {
  id: string;
  startedAt: number;
  expiresAt: number;
  endedAt?: number;
  endReason?: EndReason;
  /** By the steady clock: decides whether the lease has lapsed. */
  leaseUntil: number;
  /** By the store's clock: the same moment as people read it. */
  lapsesAt: number;
  /** Empty when its node has let go of it; undefined where a release without nodes burned the token. */
  node?: string | undefined;
  epoch: number;
  tickets: readonly string[];
  resume: string;
}

/** The two clocks at one moment, in milliseconds: the store's own and the steady one that leases are counted by. */
export interface Moment {
  now: number;
  steady: number;
}

/** What a burn by a session that does not hold the token would refuse; undefined when it would win. */
export function refusalOf(token: StoredToken | undefined, now: number): BurnRefusal | undefined {
  if (!token) return 'token_unknown';
  if (token.status === 'revoked') return 'token_revoked';
  if (token.status !== 'issued') return 'token_used';
  if (token.fenced) return 'token_unknown';
  return now >= token.expiresAt ? 'token_expired' : undefined;
}

/** The record as it reads at a moment. */
export function toRecord(id: string, token: StoredToken, at: Moment): CallTokenRecord {
  return {
    id,
    endpointId: token.endpointId,
    team: token.team,
    status: statusOf(token, at),
    createdAt: token.createdAt,
    expiresAt: token.expiresAt,
    ttlSeconds: (token.expiresAt - token.createdAt) / 1000,
    maxDurationSeconds: token.maxDurationMs / 1000,
    ...(token.metadata && { metadata: token.metadata }),
    ...(token.fingerprint && { fingerprint: token.fingerprint }),
    ...(token.revokedAt !== undefined && { revokedAt: token.revokedAt }),
    ...(token.session && { session: readSession(token.session, at) }),
  };
}

function statusOf(token: StoredToken, at: Moment): CallTokenStatus {
  if (token.status === 'issued') return token.fenced || at.now >= token.expiresAt ? 'expired' : 'issued';
  if (token.status === 'active' && token.session && lapsed(token.session, at)) return 'completed';
  return token.status;
}

function readSession(session: StoredSession, at: Moment): NonNullable<CallTokenRecord['session']> {
  const { id, startedAt, expiresAt, endedAt, endReason, lapsesAt, node } = session;
  if (endedAt !== undefined && endReason) return { id, startedAt, expiresAt, endedAt, endReason };
  if (!lapsed(session, at)) return { id, startedAt, expiresAt };
  // Nobody came back for a session that its node had let go of.
  return { id, startedAt, expiresAt, endedAt: lapsesAt, endReason: node === '' ? 'client_lost' : 'node_lost' };
}

/** Who holds the session of a record; undefined when there is none, another one, or it is over. */
export function ownerOf(
  tokenId: string,
  { status, session, endpointId, team, revokedAt }: StoredToken,
  { sessionId, at }: { sessionId: string; at: Moment },
): SessionOwner | undefined {
  if (status !== 'active' || session?.id !== sessionId || lapsed(session, at)) return undefined;
  const { node = '?', epoch, tickets, resume, startedAt, expiresAt } = session;
  const state = { tickets, resume, startedAt, expiresAt };
  return { tokenId, endpointId, team, node, epoch, revoked: revokedAt !== undefined, ...state };
}

export const lapsed = ({ endedAt, leaseUntil }: StoredSession, { steady }: Moment): boolean =>
  endedAt === undefined && steady >= leaseUntil;

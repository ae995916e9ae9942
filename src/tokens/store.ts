import type { EndReason } from '../protocol/codes.ts';

/** Times are epoch milliseconds by the store's own clock. */
export interface NewCallToken {
  /** `ct_<family>_<random>`; the family is the hash tag of the record's key. */
  id: string;
  endpointId: string;
  team: string;
  ttlSeconds: number;
  maxDurationSeconds: number;
  metadata?: Record<string, string>;
}

export type CallTokenStatus = 'issued' | 'active' | 'completed' | 'revoked' | 'expired';

export interface CallTokenRecord extends NewCallToken {
  status: CallTokenStatus;
  createdAt: number;
  expiresAt: number;
  /** When it was revoked; on a token that had been burned this stands beside the session, which the revocation ends. */
  revokedAt?: number;
  /** Present once burned. */
  session?: { id: string; startedAt: number; expiresAt: number; endedAt?: number; endReason?: EndReason };
}

export type BurnRefusal = 'token_unknown' | 'token_used' | 'token_revoked' | 'token_expired';

export type BurnResult =
  | { burned: true; remainingMs: number; startedAt: number; expiresAt: number }
  | { burned: false; refusal: BurnRefusal };

/** What one held session keeps alive in the store. */
export interface Lease {
  tokenId: string;
  endpointId: string;
  sessionId: string;
}

/**
 * The one truth about call tokens. Every method rejects with `CallgateError('unavailable')` when the store cannot
 * be reached in time; `retryable` is true only where the step certainly did not happen.
 */
export interface TokenStore {
  /** Stores a fresh record and returns the times that the store's clock gave it. */
  issue(token: NewCallToken): Promise<{ createdAt: number; expiresAt: number }>;
  /**
   * The atomic step from `issued` to `active`. Exactly one session ever wins; asked again for the same session while it
   * is active, the answer is the same yes with what then remains. A token of another endpoint is `token_unknown`.
   */
  burn(token: { id: string; endpointId: string; sessionId: string }): Promise<BurnResult>;
  /** What a burn by a new session would refuse at this moment, without burning. */
  peek(id: string): Promise<BurnRefusal | undefined>;
  read(id: string): Promise<CallTokenRecord | undefined>;
  /** Stores how the session ended; false when that session does not hold the token or has already ended. */
  finish(end: { id: string; sessionId: string; reason: EndReason }): Promise<boolean>;
  /**
   * Revokes an issued token, records the revocation of an active one, changes nothing on an ended one. Repeating it
   * gives the same answer; a token that expired unused has ended.
   */
  revoke(id: string): Promise<'revoked' | 'active' | 'ended' | 'unknown'>;

  /** Takes one of the endpoint's places for a session; false when all `max` are held. */
  acquirePlace(place: { endpointId: string; sessionId: string; max: number }): Promise<boolean>;
  releasePlace(place: { endpointId: string; sessionId: string }): Promise<void>;
  /** Keeps the records and places of these sessions for another lease; takes a lapsed place again. */
  renew(leases: readonly Lease[]): Promise<void>;

  /** Whether the store answered lately; `/readyz` shows it. */
  readonly ready: boolean;
  close(): Promise<void>;
}

/** How long a lease lasts without being renewed, in milliseconds. */
export const LEASE_MS = 30_000;

/** How long a record stays readable after its end, in milliseconds. */
export const RETENTION_MS = 24 * 60 * 60 * 1000;

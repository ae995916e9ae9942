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
  /** Certificate that the token is bound to, as `sha-256 AA:BB:…`. */
  fingerprint?: string;
}

export const CALL_TOKEN_STATUSES = ['issued', 'active', 'completed', 'revoked', 'expired'] as const;
export type CallTokenStatus = (typeof CALL_TOKEN_STATUSES)[number];

export interface CallTokenRecord extends NewCallToken {
  status: CallTokenStatus;
  createdAt: number;
  expiresAt: number;
  /** When it was revoked; on a token that had been burned this stands beside the session, which the revocation ends. */
  revokedAt?: number;
  /** Present once burned. */
  session?: { id: string; startedAt: number; expiresAt: number; endedAt?: number; endReason?: EndReason };
}

/** What the token of another issuer says of itself. It has no record until its burn makes one. */
export interface ForeignToken {
  team: string;
  issuedAt: number;
  expiresAt: number;
  maxDurationSeconds: number;
  fingerprint?: string;
}

export type BurnRefusal = 'token_unknown' | 'token_used' | 'token_revoked' | 'token_expired';

export type BurnResult =
  | { burned: true; remainingMs: number; startedAt: number; expiresAt: number; epoch: number }
  | { burned: false; refusal: BurnRefusal };

/** Who holds a session: the node, and how often the session has been given to one. */
export interface Lease {
  tokenId: string;
  endpointId: string;
  sessionId: string;
  node: string;
  /** From 1; each adoption counts on. */
  epoch: number;
}

/** What a node needs to hold a session. */
export interface SessionState {
  /** Hashes of its tickets, the newest first: the current one, the one before, up to 8 older ones. */
  tickets: readonly string[];
  /** What a node that adopts the session begins it with, at most 4 KiB; the store does not look into it. */
  resume: string;
  startedAt: number;
  expiresAt: number;
}

/** What one held session keeps alive in the store. */
export interface HeldSession extends Lease, SessionState {}

export interface Burn {
  id: string;
  endpointId: string;
  sessionId: string;
  node: string;
  tickets: readonly string[];
  resume: string;
  /** For the token of another issuer, which has no record yet. */
  foreign?: ForeignToken;
}

/** The end of a session, told by the node that held it at this epoch; with its times, in case that a failover forgot them. */
export interface SessionEnd extends Pick<SessionState, 'startedAt' | 'expiresAt'> {
  id: string;
  sessionId: string;
  node: string;
  epoch: number;
  reason: EndReason;
}

/** A session as a node finds it that does not hold it. */
export interface SessionOwner extends SessionState {
  tokenId: string;
  endpointId: string;
  team: string;
  /** Empty when its node has let go of it. */
  node: string;
  epoch: number;
  revoked: boolean;
}

export interface Adoption {
  sessionId: string;
  /** Who adopts it. */
  node: string;
  /** Who held it when it was looked at. */
  from: { node: string; epoch: number };
  /** The hash of the ticket that its client presented, and that of the next one. */
  ticket: string;
  successor: string;
}

/**
 * Why a session cannot be adopted: it is not to be found, has ended or its lease has lapsed, or the ticket is none of its own (`gone`);
 * the ticket was used before, which ends the session (`reused`); another node holds it than it was thought (`moved`).
 */
export type AdoptionRefusal = 'gone' | 'reused' | 'moved';

export type AdoptionResult =
  | ({ adopted: true; remainingMs: number } & Omit<SessionOwner, 'node'>)
  | { adopted: false; refusal: AdoptionRefusal };

export type RefreshResult =
  | { refreshed: true; createdAt: number; expiresAt: number }
  | { refreshed: false; refusal: 'unknown' | 'not_issued' };

/** A place in a team's list: after the token of this time and id, newest first. The time is in the store's own units. */
export interface ListPosition {
  at: number;
  id: string;
}

export interface ListQuery {
  team: string;
  endpointId?: string;
  status?: CallTokenStatus;
  limit: number;
  after?: ListPosition;
}

/** `next` is where the list goes on; a page may be short, even empty, while there is more. */
export interface ListPage {
  records: CallTokenRecord[];
  next: ListPosition | undefined;
}

/** Hears of sessions whatever this process must know of them, whoever caused it and whoever holds them. */
export interface SessionListener {
  /** Its token was revoked. Once or more often for each; also of sessions that others hold. */
  revoked(sessionId: string): void;
  /** A renewal found that another node holds it by now, or has ended it: whoever thinks to hold it here leaves it silently. */
  moved(sessionId: string): void;
  /** Announcements may have been missed: `renew` tells of all that were. */
  missed(): void;
  /** A token of this team was revoked whose record is lost. Once or more often. Answers whether its session is held here. */
  forgotten?(tokenId: string, team: string): boolean;
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
   * is active, the answer is the same yes with what then remains. Asked from another node, that node has it from then on, at the
   * next epoch. A token of another endpoint is `token_unknown`.
   *
   * With `foreign`, a token without a record gets one and is active at once. One that was issued before the store's present
   * generation began may have been burned in an earlier one, and is `token_unknown`.
   */
  burn(burn: Burn): Promise<BurnResult>;
  /** What a burn by a new session would refuse at this moment, without burning. */
  peek(id: string, foreign?: ForeignToken): Promise<BurnRefusal | undefined>;
  /** With a team, the record of that team's token only; another's is denied as fast as one that is not there. */
  read(id: string, team?: string): Promise<CallTokenRecord | undefined>;
  /** Stores how the session ended; false when that node does not hold it (any more) or it has already ended. */
  finish(end: SessionEnd): Promise<boolean>;
  /**
   * Revokes an issued token, records the revocation of an active one, changes nothing on an ended one. Repeating it
   * gives the same answer; a token that expired unused has ended. With a team, that team's token only. A session whose record
   * is lost may live on: listeners hear of such a token, and the answer is `active` when one of this process holds it.
   */
  revoke(id: string, team?: string): Promise<'revoked' | 'active' | 'ended' | 'unknown'>;
  /**
   * Revokes an issued token and issues its successor in one step. The successor is of the same family and keeps the
   * endpoint, limits, metadata and binding; without `ttlSeconds` also the time to live. `team` is the record's, in whose
   * list the successor goes. Repeating it is safe.
   */
  refresh(refresh: {
    id: string;
    successorId: string;
    team: string;
    ttlSeconds?: number | undefined;
  }): Promise<RefreshResult>;
  /** A team's tokens, newest first, from an index beside the records: what it has lost is not listed, and still good. */
  list(query: ListQuery): Promise<ListPage>;
  /** Returns what ends the listening. */
  onSessions(listener: SessionListener): () => void;

  /** Takes one of the endpoint's places for a session; false when all `max` are held. */
  acquirePlace(place: { endpointId: string; sessionId: string; max: number }): Promise<boolean>;
  releasePlace(place: { endpointId: string; sessionId: string }): Promise<void>;
  /**
   * Keeps the records and places of these sessions for another lease, and writes what the store may have forgotten of them: who
   * holds them, their tickets, the burn itself. Takes a lapsed place again. Listeners hear of each whose token was revoked and of
   * each that has moved; the record and the place of such a one are left alone. Each is tried once: whoever renews comes again. Each is taken when its turn
   * comes, so that what was saved meanwhile is not undone.
   */
  renew(sessions: Iterable<HeldSession>): Promise<void>;
  /** Writes one session as a renewal does, without its place; rejects when that failed, and the next renewal writes it. */
  save(session: HeldSession): Promise<void>;
  /** Lets go of a session: from then on, for one lease, any node may adopt it. False when it was no longer held. Repeating it is safe. */
  leave(session: HeldSession): Promise<boolean>;
  /**
   * Who holds a session, or held it last; undefined when there is none, it has ended or its lease has lapsed. Rejects with a retryable
   * `unavailable` when the store may have forgotten the session, which its node then writes again.
   */
  owner(sessionId: string): Promise<SessionOwner | undefined>;
  /**
   * Makes another node the holder of a session, at the next epoch and with a fresh lease; repeating it is safe. Its place is taken
   * again with `renew`. Rejects as `owner` does.
   */
  adopt(adoption: Adoption): Promise<AdoptionResult>;

  /** Whether calls can start: the store, or a part of it where it has several, takes what they write. */
  readonly ready: boolean;
  /** The parts of it that do not. */
  readonly away: readonly string[];
  /** Whether the part where the record of this token lies, or would lie, is one of them. */
  isAway(id: string): boolean;
  /**
   * The store's clock as far as this process knows it, in epoch milliseconds. Where parts of it have clocks of their own it
   * is that of the part where the token lies; `idOf` is asked only there.
   */
  now(idOf?: () => string | undefined): number;
  /** How far it is ahead of this process's own, in milliseconds. */
  readonly clockSkewMs: number;
  close(): Promise<void>;
}

/** How long a lease lasts without being renewed, in milliseconds. */
export const LEASE_MS = 30_000;

/** The most that passes from the mint of a token to the end of its session: both at their limits. */
export const LONGEST_LIFE_MS = (600 + 86_400) * 1000;

/** How long a record stays readable after its end, in milliseconds. */
export const RETENTION_MS = 24 * 60 * 60 * 1000;

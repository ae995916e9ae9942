import { CallgateError } from '../errors.ts';
import { parseTokenId } from './claims.ts';
import { refusalOf, type StoredToken, toRecord } from './record.ts';
import {
  type BurnRefusal,
  type BurnResult,
  type CallTokenRecord,
  LEASE_MS,
  type Lease,
  type NewCallToken,
  RETENTION_MS,
  type TokenStore,
} from './store.ts';

const SWEEP_MS = 60_000;
const MAX_RECORDS = 100_000;

export interface MemoryStoreOptions {
  leaseMs?: number;
  retentionMs?: number;
  maxRecords?: number;
  /** Epoch milliseconds. */
  now?: () => number;
  /** Milliseconds that only ever grow. */
  steady?: () => number;
}

type MemoryToken = StoredToken & { forgetAt: number };

/**
 * The same store in one process, for a server without `REDIS_URL`. One timer sweeps what is past its retention. Past
 * `maxRecords` the oldest record that can no longer become or be a call makes room: a forgotten token is unknown, so
 * that forgetting never lets one win twice.
 */
export class MemoryTokenStore implements TokenStore {
  readonly ready = true;
  readonly #tokens = new Map<string, MemoryToken>();
  /** Endpoint to session to the end of its lease, by the steady clock. */
  readonly #places = new Map<string, Map<string, number>>();
  readonly #leaseMs: number;
  readonly #retentionMs: number;
  readonly #maxRecords: number;
  readonly #now: () => number;
  readonly #steady: () => number;
  readonly #sweeper: NodeJS.Timeout;

  constructor({
    leaseMs = LEASE_MS,
    retentionMs = RETENTION_MS,
    maxRecords = MAX_RECORDS,
    now = Date.now,
    steady = () => performance.now(),
  }: MemoryStoreOptions = {}) {
    this.#leaseMs = leaseMs;
    this.#retentionMs = retentionMs;
    this.#maxRecords = maxRecords;
    this.#now = now;
    this.#steady = steady;
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  async issue(token: NewCallToken): Promise<{ createdAt: number; expiresAt: number }> {
    if (!parseTokenId(token.id)) throw new TypeError('a token id is ct_<family>_<random>');
    if (this.#find(token.id)) throw new Error('the token id is taken');
    if (this.#tokens.size >= this.#maxRecords) this.#makeRoom();
    const createdAt = this.#now();
    const expiresAt = createdAt + Math.round(token.ttlSeconds * 1000);
    this.#tokens.set(token.id, {
      status: 'issued',
      endpointId: token.endpointId,
      team: token.team,
      createdAt,
      expiresAt,
      maxDurationMs: Math.round(token.maxDurationSeconds * 1000),
      ...(token.metadata && { metadata: { ...token.metadata } }),
      fenced: false,
      forgetAt: expiresAt + this.#retentionMs,
    });
    return { createdAt, expiresAt };
  }

  async burn({
    id,
    endpointId,
    sessionId,
  }: {
    id: string;
    endpointId: string;
    sessionId: string;
  }): Promise<BurnResult> {
    const now = this.#now();
    const token = this.#find(id);
    if (token?.endpointId !== endpointId) return { burned: false, refusal: 'token_unknown' };
    if (token.status === 'active' && token.session?.id === sessionId) {
      const { startedAt, expiresAt } = token.session;
      return { burned: true, remainingMs: Math.max(expiresAt - now, 0), startedAt, expiresAt };
    }
    const refusal = refusalOf(token, now);
    if (refusal) return { burned: false, refusal };
    const expiresAt = now + token.maxDurationMs;
    token.status = 'active';
    token.session = { id: sessionId, startedAt: now, expiresAt, ...this.#lease(now) };
    token.forgetAt = expiresAt + this.#retentionMs;
    return { burned: true, remainingMs: token.maxDurationMs, startedAt: now, expiresAt };
  }

  async peek(id: string): Promise<BurnRefusal | undefined> {
    return refusalOf(this.#find(id), this.#now());
  }

  async read(id: string): Promise<CallTokenRecord | undefined> {
    const token = this.#find(id);
    return token && toRecord(id, token, { now: this.#now(), steady: this.#steady() });
  }

  async finish({ id, sessionId, reason }: Parameters<TokenStore['finish']>[0]): Promise<boolean> {
    const token = this.#find(id);
    if (token?.status !== 'active' || token.session?.id !== sessionId) return false;
    const endedAt = this.#now();
    token.status = 'completed';
    token.session = { ...token.session, endedAt, endReason: reason };
    token.forgetAt = endedAt + this.#retentionMs;
    return true;
  }

  async revoke(id: string): Promise<'revoked' | 'active' | 'ended' | 'unknown'> {
    const now = this.#now();
    const token = this.#find(id);
    if (!token) return 'unknown';
    if (token.status === 'active') token.revokedAt ??= now;
    if (token.status === 'active' || token.status === 'revoked') return token.status;
    if (refusalOf(token, now)) return 'ended';
    Object.assign(token, { status: 'revoked', revokedAt: now, forgetAt: now + this.#retentionMs });
    return 'revoked';
  }

  async acquirePlace({ endpointId, sessionId, max }: Parameters<TokenStore['acquirePlace']>[0]): Promise<boolean> {
    this.#freeLapsedPlaces(endpointId);
    const places = this.#places.get(endpointId);
    if (!places?.has(sessionId) && (places?.size ?? 0) >= max) return false;
    this.#hold(endpointId, sessionId);
    return true;
  }

  async releasePlace({ endpointId, sessionId }: Parameters<TokenStore['releasePlace']>[0]): Promise<void> {
    const places = this.#places.get(endpointId);
    places?.delete(sessionId);
    if (places?.size === 0) this.#places.delete(endpointId);
  }

  async renew(leases: readonly Lease[]): Promise<void> {
    const now = this.#now();
    for (const { tokenId, endpointId, sessionId } of leases) {
      this.#hold(endpointId, sessionId);
      const token = this.#find(tokenId);
      if (token?.status === 'active' && token.session?.id === sessionId) Object.assign(token.session, this.#lease(now));
    }
  }

  /** Forgets records past their retention and places whose lease lapsed. */
  sweep(): void {
    const now = this.#now();
    for (const [id, { forgetAt }] of this.#tokens) if (now >= forgetAt) this.#tokens.delete(id);
    for (const endpointId of this.#places.keys()) this.#freeLapsedPlaces(endpointId);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
  }

  #makeRoom(): void {
    const now = this.#now();
    for (const [id, token] of this.#tokens) {
      if (token.status === 'active' || refusalOf(token, now) === undefined) continue;
      this.#tokens.delete(id);
      return;
    }
    throw new CallgateError('unavailable', { retryable: true });
  }

  #find(id: string): MemoryToken | undefined {
    const token = this.#tokens.get(id);
    return token && this.#now() < token.forgetAt ? token : undefined;
  }

  #lease(now: number): { leaseUntil: number; lapsesAt: number } {
    return { leaseUntil: this.#steady() + this.#leaseMs, lapsesAt: now + this.#leaseMs };
  }

  #hold(endpointId: string, sessionId: string): void {
    const places = this.#places.get(endpointId) ?? new Map<string, number>();
    places.set(sessionId, this.#steady() + this.#leaseMs);
    this.#places.set(endpointId, places);
  }

  #freeLapsedPlaces(endpointId: string): void {
    const now = this.#steady();
    const places = this.#places.get(endpointId);
    for (const [sessionId, leaseUntil] of places ?? []) if (now >= leaseUntil) places?.delete(sessionId);
    if (places?.size === 0) this.#places.delete(endpointId);
  }
}

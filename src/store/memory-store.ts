import { CallgateError } from '../errors.ts';
import type { EndReason } from '../protocol/codes.ts';
import { isForeignId, parseTokenId } from '../tokens/claims.ts';
import { tokenOfSession } from '../tokens/session-id.ts';
import { onceIssued, refusalOfForeign } from './foreign-token.ts';
import { MemoryIdempotencyKeys } from './idempotency.ts';
import { MemoryPlaces } from './memory-places.ts';
import { adopt, hold, isActive, standing } from './memory-sessions.ts';
import { MemoryMintRate } from './mint-rate.ts';
import { type Moment, ownerOf, refusalOf, type StoredSession, type StoredToken, toRecord } from './record.ts';
import {
  type Adoption,
  type AdoptionResult,
  type Burn,
  type BurnRefusal,
  type BurnResult,
  type CallTokenRecord,
  type ForeignToken,
  type HeldSession,
  LEASE_MS,
  type ListPage,
  type ListQuery,
  type NewCallToken,
  RETENTION_MS,
  type RefreshResult,
  type SessionEnd,
  type SessionListener,
  type SessionOwner,
  type TokenStore,
} from './store.ts';
import { collectPage, TeamList } from './team-list.ts';

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

type MemoryToken = StoredToken & { forgetAt: number; successor?: string };

/**
 * The same store in one process, for a server without `REDIS_URL`. One timer sweeps what is past its retention. Past
 * `maxRecords` the oldest record that can no longer become or be a call makes room: a forgotten token is unknown, so
 * that forgetting never lets one win twice.
 */
export class MemoryTokenStore implements TokenStore {
  readonly ready = true;
  readonly away = [];
  readonly clockSkewMs = 0;
  readonly idempotency: MemoryIdempotencyKeys;
  readonly mintRate = new MemoryMintRate();
  readonly #listeners = new Set<SessionListener>();
  /** By team. */
  readonly #lists = new Map<string, TeamList>();
  readonly #tokens = new Map<string, MemoryToken>();
  readonly #places: MemoryPlaces;
  readonly #leaseMs: number;
  readonly #retentionMs: number;
  readonly #maxRecords: number;
  readonly #now: () => number;
  /** When this store began: it knows of no burn before that. */
  readonly #since: number;
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
    this.#since = now();
    this.idempotency = new MemoryIdempotencyKeys(now);
    this.#steady = steady;
    this.#places = new MemoryPlaces(leaseMs, steady);
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  async issue(token: NewCallToken): Promise<{ createdAt: number; expiresAt: number }> {
    if (!parseTokenId(token.id)) throw new TypeError('a token id is ct_<family>_<random>');
    if (this.#find(token.id)) throw new Error('the token id is taken');
    const { id, endpointId, team, metadata, fingerprint } = token;
    const createdAt = this.#now();
    const expiresAt = createdAt + Math.round(token.ttlSeconds * 1000);
    return this.#store(
      id,
      { createdAt, expiresAt },
      {
        endpointId,
        team,
        maxDurationMs: Math.round(token.maxDurationSeconds * 1000),
        ...(metadata && { metadata: { ...metadata } }),
        ...(fingerprint && { fingerprint }),
      },
    );
  }

  async refresh({ id, successorId, ttlSeconds }: Parameters<TokenStore['refresh']>[0]): Promise<RefreshResult> {
    if (!parseTokenId(successorId)) throw new TypeError('a token id is ct_<family>_<random>');
    const now = this.#now();
    const token = this.#find(id);
    if (!token) return { refreshed: false, refusal: 'unknown' };
    const successor = this.#find(successorId);
    if (successor && token.successor === successorId && !refusalOf(successor, now)) {
      return { refreshed: true, createdAt: successor.createdAt, expiresAt: successor.expiresAt };
    }
    if (successor || refusalOf(token, now)) return { refreshed: false, refusal: 'not_issued' };
    const { endpointId, team, maxDurationMs, metadata, fingerprint } = token;
    const ttlMs = ttlSeconds === undefined ? token.expiresAt - token.createdAt : Math.round(ttlSeconds * 1000);
    const kept = { ...(metadata && { metadata }), ...(fingerprint && { fingerprint }) };
    const lives = { createdAt: now, expiresAt: now + ttlMs };
    const times = this.#store(successorId, lives, { endpointId, team, maxDurationMs, ...kept });
    this.#revoke(token, now);
    token.successor = successorId;
    return { refreshed: true, ...times };
  }

  list(query: ListQuery): Promise<ListPage> {
    return collectPage(query, async (after, count) => {
      const positions = this.#lists.get(query.team)?.page(after, count) ?? [];
      return Promise.all(positions.map(async (position) => ({ position, record: await this.read(position.id) })));
    });
  }

  isAway(): boolean {
    return false;
  }

  now(): number {
    return this.#now();
  }

  onSessions(listener: SessionListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async burn({ id, endpointId, sessionId, node, tickets, resume, foreign }: Burn): Promise<BurnResult> {
    const kept = { node, tickets: [...tickets], resume };
    const refused = foreign && (await onceIssued(async () => this.#addForeign(id, endpointId, foreign)));
    if (refused) return { burned: false, refusal: refused };
    const now = this.#now();
    const token = this.#find(id);
    if (token?.endpointId !== endpointId) return { burned: false, refusal: 'token_unknown' };
    if (isActive(token) && token.session.id === sessionId) {
      const { session } = token;
      const { startedAt, expiresAt, epoch } = session;
      if (session.node !== node) Object.assign(session, { ...kept, epoch: epoch + 1, ...this.#lease(now) });
      return { burned: true, remainingMs: Math.max(expiresAt - now, 0), startedAt, expiresAt, epoch: session.epoch };
    }
    const refusal = refusalOf(token, now);
    if (refusal) return { burned: false, refusal };
    const expiresAt = now + token.maxDurationMs;
    token.status = 'active';
    token.session = { id: sessionId, startedAt: now, expiresAt, epoch: 1, ...kept, ...this.#lease(now) };
    token.forgetAt = Math.max(expiresAt, token.expiresAt) + this.#retentionMs;
    return { burned: true, remainingMs: token.maxDurationMs, startedAt: now, expiresAt, epoch: 1 };
  }

  async peek(id: string, foreign?: ForeignToken): Promise<BurnRefusal | undefined> {
    const [now, token] = [this.#now(), this.#find(id)];
    return token || !foreign ? refusalOf(token, now) : refusalOfForeign(foreign, { now, since: this.#since });
  }

  async read(id: string, team?: string): Promise<CallTokenRecord | undefined> {
    const token = this.#find(id);
    if (team !== undefined && token?.team !== team) return undefined;
    return token && toRecord(id, token, this.#moment());
  }

  async finish({ id, reason, ...lease }: SessionEnd): Promise<boolean> {
    const token = this.#find(id);
    const stands = standing(token, lease);
    if (!isActive(token) || (stands !== 'held' && stands !== 'let_go')) return false;
    Object.assign(token.session, { node: lease.node, epoch: lease.epoch });
    this.#end(token, reason);
    return true;
  }

  async revoke(id: string, team?: string): Promise<'revoked' | 'active' | 'ended' | 'unknown'> {
    const now = this.#now();
    const token = this.#find(id);
    if (!token || (team !== undefined && token.team !== team)) {
      const isHeld = team !== undefined && [...this.#listeners].some((listener) => listener.forgotten?.(id, team));
      return isHeld ? 'active' : 'unknown';
    }
    if (token.status === 'active') {
      token.revokedAt ??= now;
      this.#tellRevoked(token);
      return 'active';
    }
    if (token.status === 'revoked') return 'revoked';
    if (refusalOf(token, now)) return 'ended';
    this.#revoke(token, now);
    return 'revoked';
  }

  async acquirePlace({ endpointId, sessionId, max }: Parameters<TokenStore['acquirePlace']>[0]): Promise<boolean> {
    return this.#places.acquire(endpointId, sessionId, max);
  }

  async releasePlace({ endpointId, sessionId }: Parameters<TokenStore['releasePlace']>[0]): Promise<void> {
    this.#places.release(endpointId, sessionId);
  }

  async renew(sessions: Iterable<HeldSession>): Promise<void> {
    for (const session of sessions) {
      if (this.#hold(session) === 'moved') continue;
      this.#places.hold(session.endpointId, session.sessionId);
    }
  }

  async save(session: HeldSession): Promise<void> {
    this.#hold(session);
  }

  async leave(session: HeldSession): Promise<boolean> {
    const token = this.#find(session.tokenId);
    const stands = standing(token, session);
    if (!isActive(token) || (stands !== 'held' && stands !== 'let_go')) return false;
    hold(token, session, '', this.#lease(this.#now()));
    return true;
  }

  async owner(sessionId: string): Promise<SessionOwner | undefined> {
    const id = tokenOfSession(sessionId);
    const token = id && this.#find(id);
    return token ? ownerOf(id, token, { sessionId, at: this.#moment() }) : undefined;
  }

  async adopt(adoption: Adoption): Promise<AdoptionResult> {
    const { sessionId } = adoption;
    const id = tokenOfSession(sessionId);
    const token = id && this.#find(id);
    if (!token) return { adopted: false, refusal: 'gone' };
    const at = this.#moment();
    const refusal = adopt(token, adoption, { at, lease: this.#lease(at.now) });
    if (refusal === 'reused' && isActive(token)) this.#end(token, 'ticket_reused');
    const owner = refusal === undefined && ownerOf(id, token, { sessionId, at });
    if (!owner) return { adopted: false, refusal: refusal ?? 'gone' };
    const { node: _, ...rest } = owner;
    return { adopted: true, ...rest, remainingMs: Math.max(owner.expiresAt - at.now, 0) };
  }

  /** Forgets records past their retention and places whose lease lapsed. */
  sweep(): void {
    const now = this.#now();
    for (const [id, { forgetAt }] of this.#tokens) if (now >= forgetAt) this.#tokens.delete(id);
    this.#places.sweep();
    for (const [team, list] of this.#lists) if (!list.prune((id) => this.#tokens.has(id))) this.#lists.delete(team);
    this.idempotency.sweep();
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
  }

  #store(
    id: string,
    { createdAt, expiresAt }: { createdAt: number; expiresAt: number },
    kept: Pick<StoredToken, 'endpointId' | 'team' | 'maxDurationMs' | 'metadata' | 'fingerprint'>,
  ): { createdAt: number; expiresAt: number } {
    if (this.#tokens.size >= this.#maxRecords) this.#makeRoom();
    const forgetAt = expiresAt + this.#retentionMs;
    this.#tokens.set(id, { ...kept, status: 'issued', createdAt, expiresAt, fenced: false, forgetAt });
    const list = this.#lists.get(kept.team) ?? new TeamList();
    this.#lists.set(kept.team, list);
    list.add({ id, at: createdAt });
    return { createdAt, expiresAt };
  }

  /** Makes the record of a foreign token, unless it has one; answers why the token is refused, if it is. */
  #addForeign(id: string, endpointId: string, foreign: ForeignToken): BurnRefusal | undefined | { earlyMs: number } {
    if (!parseTokenId(id) || this.#find(id)) return undefined;
    const now = this.#now();
    const refusal = refusalOfForeign(foreign, { now, since: this.#since });
    if (refusal) return refusal;
    const { team, issuedAt, expiresAt, maxDurationSeconds, fingerprint } = foreign;
    if (issuedAt > now) return { earlyMs: issuedAt - now };
    const maxDurationMs = Math.round(maxDurationSeconds * 1000);
    const kept = { endpointId, team, maxDurationMs, ...(fingerprint && { fingerprint }) };
    this.#store(id, { createdAt: issuedAt, expiresAt }, kept);
    return undefined;
  }

  #revoke(token: MemoryToken, now: number): void {
    Object.assign(token, { status: 'revoked', revokedAt: now, forgetAt: now + this.#retentionMs });
  }

  #end(token: MemoryToken & { session: StoredSession }, endReason: EndReason): void {
    const endedAt = this.#now();
    token.status = 'completed';
    Object.assign(token.session, { endedAt, endReason, tickets: [], resume: '' });
    token.forgetAt = Math.max(endedAt + this.#retentionMs, token.expiresAt);
  }

  /** Writes a session that is held, and tells what became of it meanwhile. */
  #hold(session: HeldSession): ReturnType<typeof standing> {
    const token = this.#find(session.tokenId);
    const stands = standing(token, session);
    if (stands === 'moved') for (const listener of this.#listeners) listener.moved(session.sessionId);
    if (stands !== 'held' || !isActive(token)) return stands;
    hold(token, session, session.node, this.#lease(this.#now()));
    if (token.revokedAt !== undefined) this.#tellRevoked(token);
    return stands;
  }

  #tellRevoked({ session }: MemoryToken): void {
    if (session) for (const listener of this.#listeners) listener.revoked(session.id);
  }

  #makeRoom(): void {
    const now = this.#now();
    for (const [id, token] of this.#tokens) {
      if (token.status === 'active' || refusalOf(token, now) === undefined) continue;
      // Without its record, a foreign token would be accepted again.
      if (isForeignId(id) && now < token.expiresAt) continue;
      this.#tokens.delete(id);
      return;
    }
    throw new CallgateError('unavailable', { retryable: true });
  }

  #find(id: string): MemoryToken | undefined {
    const token = this.#tokens.get(id);
    return token && this.#now() < token.forgetAt ? token : undefined;
  }

  #moment(): Moment {
    return { now: this.#now(), steady: this.#steady() };
  }

  #lease(now: number): { leaseUntil: number; lapsesAt: number } {
    return { leaseUntil: this.#steady() + this.#leaseMs, lapsesAt: now + this.#leaseMs };
  }
}

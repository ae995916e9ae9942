import { CallgateError } from '../errors.ts';
import type { RedisSource } from '../redis/access.ts';
import { type CallOptions, RedisCaller, UnreadableKey } from '../redis/caller.ts';
import { createRedis, type RedisClient, type StoreLog } from '../redis/connection.ts';
import { checkEviction } from '../redis/eviction.ts';
import { Rights } from '../redis/rights.ts';
import { parseTokenId } from '../tokens/claims.ts';
import { tokenOfSession } from '../tokens/session-id.ts';
import { onceIssued, refusalOfForeign } from './foreign-token.ts';
import { ownerOf, refusalOf, type StoredToken, toRecord } from './record.ts';
import { Fences } from './redis/fences.ts';
import { readFields } from './redis/fields.ts';
import { FOREIGN_TOKEN_SCRIPTS, type ForeignTokenSteps, foreignTokenArgs } from './redis/foreign-token-scripts.ts';
import { RedisIdempotencyKeys } from './redis/idempotency.ts';
import { assertName, fenceKey, placesKey, sessionPrefix, storedSession, tokenKey } from './redis/keys.ts';
import { LEASE_SCRIPTS, type LeaseSteps } from './redis/lease-scripts.ts';
import { RedisMintRate } from './redis/mint-rate.ts';
import { forgotten, Revocations } from './redis/revocations.ts';
import { SESSION_SCRIPTS, type SessionSteps } from './redis/session-scripts.ts';
import { forgottenBurn, RedisSessions } from './redis/sessions.ts';
import { Shards } from './redis/shards.ts';
import { SIDE_SCRIPTS, type SideSteps } from './redis/side-scripts.ts';
import { SteadyClock, TICK_MS } from './redis/steady-clock.ts';
import { RedisTeamLists } from './redis/team-list.ts';
import { REVOKED_CHANNEL, TOKEN_SCRIPTS, type TokenSteps } from './redis/token-scripts.ts';
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
  LONGEST_LIFE_MS,
  type NewCallToken,
  RETENTION_MS,
  type RefreshResult,
  type SessionEnd,
  type SessionListener,
  type SessionOwner,
  type TokenStore,
} from './store.ts';

const CLOCK_KEY = 'callgate:clock';
/** How long a key that a probe wrote stays. */
const PROBE_MS = 60_000;
/** So many keys are told that hold something else. */
const MAX_TOLD = 1000;

export interface RedisStoreOptions {
  log: StoreLog;
  leaseMs?: number;
  retentionMs?: number;
  /** Whether foreign tokens are accepted: for these it must be known since when the store has all burns. */
  fences?: boolean;
  /** How often the steady clock ticks; a jump of the store's clock moves it by at most twice this. */
  tickMs?: number;
}

/** The distributed engine: one Redis, a Sentinel group or a Cluster. Owns its connection. */
export class RedisTokenStore implements TokenStore {
  readonly idempotency: RedisIdempotencyKeys;
  readonly mintRate: RedisMintRate;
  readonly #client: RedisClient;
  readonly #steps: Steps;
  readonly #caller: RedisCaller;
  readonly #lists: RedisTeamLists;
  readonly #revocations: Revocations;
  readonly #sessions: RedisSessions;
  readonly #clock: SteadyClock;
  readonly #fences: Fences;
  readonly #shards: Shards;
  readonly #rights: Rights;
  readonly #leaseMs: number;
  readonly #retentionMs: number;

  /** @throws TypeError when the URL is of no accepted form; an absent server is only told */
  constructor(
    redis: RedisSource,
    { log, leaseMs = LEASE_MS, retentionMs = RETENTION_MS, fences = false, tickMs = TICK_MS }: RedisStoreOptions,
  ) {
    const client = createRedis(redis, { warn: (fields) => this.#shards.lost(fields) });
    this.#client = client;
    this.#steps = defineSteps(client);
    this.#rights = new Rights(client, log);
    this.#caller = new RedisCaller(client, {
      denied: () => void this.#rights.check(),
      failed: (key, reason) => this.#shards.failed(key, reason),
      unreadable: tellerOfKeys(log),
    });
    this.#shards = new Shards(client, {
      log,
      probe: (key) => this.#caller.call(key, () => this.#steps.callgateProbe(key, PROBE_MS), { oneTry: true }),
      everyMs: tickMs,
    });
    this.idempotency = new RedisIdempotencyKeys(this.#steps, this.#caller);
    this.mintRate = new RedisMintRate(client, this.#caller);
    this.#lists = new RedisTeamLists(this.#steps, this.#caller, { log, keepMs: LONGEST_LIFE_MS + retentionMs });
    this.#revocations = new Revocations(client, log);
    this.#leaseMs = leaseMs;
    this.#retentionMs = retentionMs;
    this.#fences = new Fences(this.#steps, this.#caller);
    this.#clock = new SteadyClock(async (known) => {
      const steady = await this.#caller.call(CLOCK_KEY, () =>
        this.#steps.callgateTick(CLOCK_KEY, tickMs * 2, known ?? ''),
      );
      if (fences) this.#fences.keep();
      return steady;
    }, tickMs);
    client.on('ready', () => {
      void this.#shards.look();
      void this.#clock.tick();
      void checkEviction(client, log);
      void this.#rights.check();
    });
    this.#sessions = new RedisSessions(this.#steps, this.#caller, {
      revocations: this.#revocations,
      withClock: (key, step, options) => this.#withClock(key, step, options),
      isAway: (key) => this.#shards.isAway(key),
      leaseMs,
      retentionMs,
    });
    void this.#shards.look();
    void this.#clock.tick();
  }

  get ready(): boolean {
    return this.#clock.now !== undefined && this.#shards.ready && this.#rights.complete;
  }

  get away(): readonly string[] {
    return this.#shards.away;
  }

  get clockSkewMs(): number {
    return this.#shards.skewMs;
  }

  isAway(id: string): boolean {
    const key = tokenKey(id);
    return key !== undefined && this.#shards.isAway(key);
  }

  now(idOf: () => string | undefined = () => undefined): number {
    return this.#shards.now(() => tokenKey(idOf() ?? '')) ?? Date.now();
  }

  async issue(token: NewCallToken): Promise<{ createdAt: number; expiresAt: number }> {
    const key = tokenKey(token.id);
    if (!key) throw new TypeError('an id has a wrong form');
    assertName(token.endpointId);
    assertName(token.team);
    const step = () =>
      this.#steps.callgateIssue(
        key,
        token.endpointId,
        token.team,
        Math.round(token.ttlSeconds * 1000),
        Math.round(token.maxDurationSeconds * 1000),
        token.metadata ? JSON.stringify(token.metadata) : '',
        token.fingerprint ?? '',
        this.#retentionMs,
      );
    const issued = this.#caller.call(key, step);
    await this.#lists.add(token.team, token.id, issued);
    const times = await issued;
    if (!times) throw new Error('the token id is taken');
    const [createdAt, expiresAt] = times;
    return { createdAt, expiresAt };
  }

  async refresh({ id, successorId, ttlSeconds, team }: Parameters<TokenStore['refresh']>[0]): Promise<RefreshResult> {
    const [key, successorKey] = [tokenKey(id), tokenKey(successorId)];
    if (!key) return { refreshed: false, refusal: 'unknown' };
    if (!successorKey) throw new TypeError('an id has a wrong form');
    const ttlMs = ttlSeconds === undefined ? '' : Math.round(ttlSeconds * 1000);
    const step = () => this.#steps.callgateRefresh(key, successorKey, ttlMs, successorId, this.#retentionMs);
    const answer = await this.#caller.call(key, step);
    if (typeof answer === 'string') return { refreshed: false, refusal: answer };
    const [createdAt, expiresAt] = answer;
    await this.#lists.add(team, successorId);
    return { refreshed: true, createdAt, expiresAt };
  }

  list(query: ListQuery): Promise<ListPage> {
    return this.#lists.list(query, (id) => this.read(id).catch(passOver));
  }

  onSessions(listener: SessionListener): () => void {
    return this.#revocations.listen(listener);
  }

  async burn({ id, endpointId, sessionId, node, tickets, resume, foreign }: Burn): Promise<BurnResult> {
    const key = tokenKey(id);
    if (!key) return { burned: false, refusal: 'token_unknown' };
    assertName(sessionId);
    assertName(node);
    const kept = [this.#leaseMs, this.#retentionMs, node, tickets.join(','), resume];
    const session = storedSession(id, sessionId);
    const args = (steady: number) => [endpointId, session, steady + this.#leaseMs, ...kept];
    // Repeated where the outcome is unknown: the same session gets the same yes, and nobody else can have won for it.
    const answer = foreign
      ? await this.#burnForeign(id, key, foreign, args)
      : await this.#withClock(key, (now) => this.#steps.callgateBurn(key, ...args(now)));
    if (typeof answer === 'string') return { burned: false, refusal: answer };
    const [remainingMs, startedAt, expiresAt, epoch] = answer;
    return { burned: true, remainingMs, startedAt, expiresAt, epoch };
  }

  async peek(id: string, foreign?: ForeignToken): Promise<BurnRefusal | undefined> {
    const found = await this.#find(id);
    if (found || !foreign) return refusalOf(found?.token, found?.now ?? 0);
    return refusalOfForeign(foreign, await this.#fences.ask(familyOf(id)));
  }

  async read(id: string, team?: string): Promise<CallTokenRecord | undefined> {
    const found = await this.#find(id, team);
    return found && toRecord(id, found.token, found);
  }

  finish(end: SessionEnd): Promise<boolean> {
    return this.#sessions.finish(end);
  }

  async revoke(id: string, team?: string): Promise<'revoked' | 'active' | 'ended' | 'unknown'> {
    const key = tokenKey(id);
    if (!key) return 'unknown';
    const step = () => this.#steps.callgateRevoke(key, this.#retentionMs, team ?? '', sessionPrefix(id));
    const answer = await this.#caller.call(key, step);
    if (answer !== 'unknown' || team === undefined) return answer;
    if (this.#revocations.tellForgotten(id, team)) return 'active';
    // As with any announcement, a user without the channel is no failure.
    await this.#caller.call(key, () => this.#client.publish(REVOKED_CHANNEL, forgotten(id, team))).catch(() => 0);
    return 'unknown';
  }

  async acquirePlace({ endpointId, sessionId, max }: Parameters<TokenStore['acquirePlace']>[0]): Promise<boolean> {
    const key = placesKey(endpointId);
    assertName(sessionId);
    const step = (now: number) => this.#steps.callgateAcquire(key, now, this.#leaseMs, max, sessionId);
    return (await this.#withClock(key, step)) === 1;
  }

  async releasePlace({ endpointId, sessionId }: Parameters<TokenStore['releasePlace']>[0]): Promise<void> {
    const key = placesKey(endpointId);
    await this.#caller.call(key, () => this.#client.zrem(key, sessionId));
  }

  renew(sessions: Iterable<HeldSession>): Promise<void> {
    return this.#sessions.renew(sessions);
  }

  save(session: HeldSession): Promise<void> {
    return this.#sessions.save(session);
  }

  leave(session: HeldSession): Promise<boolean> {
    return this.#sessions.leave(session);
  }

  async owner(sessionId: string): Promise<SessionOwner | undefined> {
    const id = tokenOfSession(sessionId);
    const found = id && (await this.#find(id));
    if (!found) return undefined;
    if (found.token.status === 'issued' && found.token.fenced) throw forgottenBurn();
    return ownerOf(id, found.token, { sessionId, at: found });
  }

  adopt(adoption: Adoption): Promise<AdoptionResult> {
    return this.#sessions.adopt(adoption);
  }

  async close(): Promise<void> {
    this.#revocations.close();
    this.#clock.close();
    this.#rights.close();
    this.#shards.close();
    this.#caller.close();
    this.#client.disconnect();
  }

  async #burnForeign(id: string, key: string, foreign: ForeignToken, args: (now: number) => (string | number)[]) {
    assertName(foreign.team);
    const family = familyOf(id);
    const answer = await onceIssued(async () => {
      const step = (now: number) =>
        this.#steps.callgateBurnForeign(
          key,
          fenceKey(family),
          ...args(now),
          ...foreignTokenArgs(foreign),
          ...this.#fences.seen(family),
        );
      const reply = await this.#withClock(key, step);
      return typeof reply === 'string' || reply.length === 4 ? reply : { earlyMs: reply[0] };
    });
    // Never rejects, and nobody has to wait for it.
    if (typeof answer !== 'string') void this.#lists.add(foreign.team, id);
    return answer;
  }

  async #find(id: string, team = '') {
    const key = tokenKey(id);
    if (!key) return undefined;
    return this.#withClock(key, async (steady) => {
      const found = await this.#steps.callgateRead(key, team);
      if (!found) return undefined;
      const [now, replid, fields] = found;
      return { token: this.#readFields(id, key, fields, replid), now, steady };
    });
  }

  #readFields(id: string, key: string, fields: string[], replid: string): StoredToken {
    try {
      return readFields(id, fields, replid);
    } catch (error) {
      throw this.#caller.unreadable(key, error);
    }
  }

  // Until the first tick is answered there is no steady time; waiting for it counts towards the call's budget.
  async #withClock<T>(key: string, step: (now: number) => Promise<T>, options?: CallOptions): Promise<T> {
    const since = performance.now();
    if (this.#clock.now === undefined) await this.#clock.tick();
    return this.#caller.call(key, async () => step(this.#steadyNow()), { ...options, since });
  }

  #steadyNow(): number {
    const { now } = this.#clock;
    if (now === undefined) throw new CallgateError('unavailable', { retryable: true });
    return now;
  }
}

type Steps = RedisClient & TokenSteps & SessionSteps & LeaseSteps & SideSteps & ForeignTokenSteps;

/** Steps that touch two keys, on one slot. */
const TWO_KEYS = new Set(['callgateRefresh', 'callgateBurnForeign']);

/** One record that cannot be read is no reason to list none. */
const passOver = (error: unknown): undefined => {
  if (!(error instanceof UnreadableKey)) throw error;
};

/** Tells each key that holds something else once. */
function tellerOfKeys(log: StoreLog): (key: string, reason: string) => void {
  const told = new Set<string>();
  return (key, reason) => {
    if (told.has(key) || told.size >= MAX_TOLD) return;
    told.add(key);
    log.warn({ redis_key: key, reason }, 'a key of the token store holds what callgate cannot have written: delete it');
  };
}

const familyOf = (id: string): string => parseTokenId(id)?.family ?? '';

const defineSteps = (client: RedisClient): Steps => {
  const scripts = { ...TOKEN_SCRIPTS, ...SESSION_SCRIPTS, ...LEASE_SCRIPTS, ...SIDE_SCRIPTS, ...FOREIGN_TOKEN_SCRIPTS };
  for (const [name, lua] of Object.entries(scripts)) {
    client.defineCommand(name, { numberOfKeys: TWO_KEYS.has(name) ? 2 : 1, lua });
  }
  return client as unknown as Steps;
};

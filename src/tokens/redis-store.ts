import { setImmediate as nextTurn } from 'node:timers/promises';
import { CallgateError } from '../errors.ts';
import { isName, parseTokenId } from './claims.ts';
import { refusalOf, toRecord } from './record.ts';
import { RedisCaller } from './redis/caller.ts';
import { createRedis, type RedisClient, type StoreLog } from './redis/connection.ts';
import { checkEviction } from './redis/eviction.ts';
import { readFields } from './redis/fields.ts';
import { LEASE_SCRIPTS, type LeaseSteps } from './redis/lease-scripts.ts';
import { SteadyClock, TICK_MS } from './redis/steady-clock.ts';
import { TOKEN_SCRIPTS, type TokenSteps } from './redis/token-scripts.ts';
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

const CLOCK_KEY = 'callgate:clock';
const RENEW_BATCH = 250;

export interface RedisStoreOptions {
  log: StoreLog;
  leaseMs?: number;
  retentionMs?: number;
  /** How often the steady clock ticks; a jump of the store's clock moves it by at most twice this. */
  tickMs?: number;
}

/** The distributed engine: one Redis, a Sentinel group or a Cluster. Owns its connection. */
export class RedisTokenStore implements TokenStore {
  readonly #client: RedisClient;
  readonly #steps: TokenSteps & LeaseSteps;
  readonly #caller: RedisCaller;
  readonly #clock: SteadyClock;
  readonly #leaseMs: number;
  readonly #retentionMs: number;

  /** @throws TypeError when the URL is of no accepted form; an absent server is only told */
  constructor(
    url: string,
    { log, leaseMs = LEASE_MS, retentionMs = RETENTION_MS, tickMs = TICK_MS }: RedisStoreOptions,
  ) {
    this.#client = createRedis(url, log);
    this.#steps = defineSteps(this.#client);
    this.#caller = new RedisCaller(this.#client);
    this.#leaseMs = leaseMs;
    this.#retentionMs = retentionMs;
    this.#clock = new SteadyClock(
      (known) => this.#caller.call(() => this.#steps.callgateTick(CLOCK_KEY, tickMs * 2, known ?? '')),
      tickMs,
    );
    this.#client.on('ready', () => {
      void this.#clock.tick();
      void checkEviction(this.#client, log);
    });
    void this.#clock.tick();
  }

  get ready(): boolean {
    return this.#caller.answering;
  }

  async issue(token: NewCallToken): Promise<{ createdAt: number; expiresAt: number }> {
    const key = tokenKey(token.id);
    if (!key || !isName(token.endpointId) || !isName(token.team)) throw new TypeError('an id has a wrong form');
    const times = await this.#caller.call(() =>
      this.#steps.callgateIssue(
        key,
        token.endpointId,
        token.team,
        Math.round(token.ttlSeconds * 1000),
        Math.round(token.maxDurationSeconds * 1000),
        token.metadata ? JSON.stringify(token.metadata) : '',
        this.#retentionMs,
      ),
    );
    if (!times) throw new Error('the token id is taken');
    return { createdAt: times[0], expiresAt: times[1] };
  }

  async burn(token: { id: string; endpointId: string; sessionId: string }): Promise<BurnResult> {
    const key = tokenKey(token.id);
    if (!key) return { burned: false, refusal: 'token_unknown' };
    assertName(token.sessionId);
    // Repeated where the outcome is unknown: the same session gets the same yes, and nobody else can have won for it.
    const answer = await this.#withClock((now) =>
      this.#steps.callgateBurn(
        key,
        token.endpointId,
        token.sessionId,
        now + this.#leaseMs,
        this.#leaseMs,
        this.#retentionMs,
      ),
    );
    if (typeof answer === 'string') return { burned: false, refusal: answer };
    const [remainingMs, startedAt, expiresAt] = answer;
    return { burned: true, remainingMs, startedAt, expiresAt };
  }

  async peek(id: string): Promise<BurnRefusal | undefined> {
    const found = await this.#find(id);
    return refusalOf(found?.token, found?.now ?? 0);
  }

  async read(id: string): Promise<CallTokenRecord | undefined> {
    const found = await this.#find(id);
    return found && toRecord(id, found.token, found);
  }

  async finish({ id, sessionId, reason }: Parameters<TokenStore['finish']>[0]): Promise<boolean> {
    const key = tokenKey(id);
    if (!key) return false;
    // Not repeated here: the second answer would deny what the first one did.
    const step = () => this.#steps.callgateFinish(key, sessionId, reason, this.#retentionMs);
    return (await this.#caller.call(step, { once: true })) === 1;
  }

  async revoke(id: string): Promise<'revoked' | 'active' | 'ended' | 'unknown'> {
    const key = tokenKey(id);
    return key ? this.#caller.call(() => this.#steps.callgateRevoke(key, this.#retentionMs)) : 'unknown';
  }

  async acquirePlace({ endpointId, sessionId, max }: Parameters<TokenStore['acquirePlace']>[0]): Promise<boolean> {
    const key = placesKey(endpointId);
    assertName(sessionId);
    const step = (now: number) => this.#steps.callgateAcquire(key, now, this.#leaseMs, max, sessionId);
    return (await this.#withClock(step)) === 1;
  }

  async releasePlace({ endpointId, sessionId }: Parameters<TokenStore['releasePlace']>[0]): Promise<void> {
    const key = placesKey(endpointId);
    await this.#caller.call(() => this.#client.zrem(key, sessionId));
  }

  // Single commands rather than a pipeline: in a Cluster the leases live on many nodes. No batch waits for another, so
  // that a shard that is away delays only its own leases.
  async renew(leases: readonly Lease[]): Promise<void> {
    const batches: Promise<unknown>[] = [];
    for (let start = 0; start < leases.length; start += RENEW_BATCH) {
      const batch = leases.slice(start, start + RENEW_BATCH);
      const renewal = this.#withClock((now) => Promise.all(batch.map((lease) => this.#renewOne(lease, now))));
      batches.push(
        renewal.then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      await nextTurn();
    }
    const failure = (await Promise.all(batches)).find((error) => error !== undefined);
    if (failure) throw failure;
  }

  async close(): Promise<void> {
    this.#clock.close();
    this.#caller.close();
    this.#client.disconnect();
  }

  async #renewOne({ tokenId, endpointId, sessionId }: Lease, now: number): Promise<void> {
    const leaseUntil = now + this.#leaseMs;
    const key = tokenKey(tokenId);
    await Promise.all([
      this.#client.zadd(placesKey(endpointId), leaseUntil, sessionId),
      key && this.#steps.callgateRenew(key, sessionId, leaseUntil, this.#leaseMs),
    ]);
  }

  async #find(id: string) {
    const key = tokenKey(id);
    if (!key) return undefined;
    return this.#withClock(async (steady) => {
      const found = await this.#steps.callgateRead(key);
      if (!found) return undefined;
      const [now, replid, fields] = found;
      return { token: readFields(fields, replid), now, steady };
    });
  }

  // Until the first tick is answered there is no steady time; waiting for it counts towards the call's budget.
  async #withClock<T>(step: (now: number) => Promise<T>): Promise<T> {
    const since = performance.now();
    if (this.#clock.now === undefined) await this.#clock.tick();
    return this.#caller.call(
      () => {
        const now = this.#clock.now;
        if (now === undefined) throw new CallgateError('unavailable', { retryable: true });
        return step(now);
      },
      { since },
    );
  }
}

const defineSteps = (client: RedisClient): TokenSteps & LeaseSteps => {
  for (const [name, lua] of Object.entries({ ...TOKEN_SCRIPTS, ...LEASE_SCRIPTS })) {
    client.defineCommand(name, { numberOfKeys: 1, lua });
  }
  return client as unknown as TokenSteps & LeaseSteps;
};

/** The family is the hash tag; undefined for what is not a token id, which therefore never reaches a key. */
function tokenKey(id: string): string | undefined {
  const parts = parseTokenId(id);
  return parts && `callgate:{${parts.family}}:${parts.random}`;
}

function placesKey(endpointId: string): string {
  assertName(endpointId);
  return `callgate:{endpoint:${endpointId}}:places`;
}

function assertName(name: string): void {
  if (!isName(name)) throw new TypeError('an id has a wrong form');
}

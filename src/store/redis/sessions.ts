import { setImmediate as nextTurn } from 'node:timers/promises';
import { CallgateError } from '../../errors.ts';
import type { CallOptions, RedisCaller } from '../../redis/caller.ts';
import type { RedisClient } from '../../redis/connection.ts';
import { tokenOfSession } from '../../tokens/session-id.ts';
import type { Adoption, AdoptionResult, HeldSession, SessionEnd } from '../store.ts';
import { assertName, placesKey, storedSession, tokenKey } from './keys.ts';
import type { Revocations } from './revocations.ts';
import type { SessionSteps } from './session-scripts.ts';

const RENEW_BATCH = 250;
/** What the scripts answer of a session. */
const HELD = 1;
const REVOKED = 2;
const MOVED = 3;

export interface RedisSessionsOptions {
  revocations: Pick<Revocations, 'tell' | 'tellMoved'>;
  /** The steady clock; rejects while nobody knows it. */
  withClock: <T>(key: string, step: (steady: number) => Promise<T>, options?: CallOptions) => Promise<T>;
  isAway: (key: string) => boolean;
  leaseMs: number;
  retentionMs: number;
}

/** The steps by which sessions are held, let go of, adopted and finished. */
export class RedisSessions {
  readonly #client: RedisClient & SessionSteps;
  readonly #caller: RedisCaller;
  readonly #options: RedisSessionsOptions;

  constructor(client: RedisClient & SessionSteps, caller: RedisCaller, options: RedisSessionsOptions) {
    this.#client = client;
    this.#caller = caller;
    this.#options = options;
  }

  // Single commands rather than a pipeline: in a Cluster the leases live on many nodes. Each is tried once and for itself;
  // whoever renews comes again.
  async renew(sessions: Iterable<HeldSession>): Promise<void> {
    const failures: unknown[] = [];
    const renewals: Promise<unknown>[] = [];
    for (const session of sessions) {
      renewals.push(this.#renewOne(session).catch((error: unknown) => failures.push(error)));
      if (renewals.length % RENEW_BATCH === 0) await nextTurn();
    }
    await Promise.all(renewals);
    if (failures.length > 0) throw failures[0];
  }

  async save(session: HeldSession): Promise<void> {
    await this.#hold(session, { oneTry: true });
  }

  async leave(session: HeldSession): Promise<boolean> {
    const key = tokenKey(session.tokenId);
    if (!key) return false;
    const answer = await this.#options.withClock(key, this.#holding(key, session, true));
    return answer === HELD || answer === REVOKED;
  }

  async adopt({ sessionId, node, from, ticket, successor }: Adoption): Promise<AdoptionResult> {
    const { withClock, leaseMs, retentionMs } = this.#options;
    const tokenId = tokenOfSession(sessionId);
    const key = tokenId && tokenKey(tokenId);
    if (!tokenId || !key) return { adopted: false, refusal: 'gone' };
    assertName(node);
    const args = [storedSession(tokenId, sessionId), node, from.node, from.epoch, ticket, successor];
    const step = (steady: number) => this.#client.callgateAdopt(key, ...args, steady, leaseMs, retentionMs);
    const answer = await withClock(key, step);
    if (answer === 'forgotten') throw forgottenBurn();
    if (typeof answer === 'string') return { adopted: false, refusal: answer };
    const [epoch, remainingMs, startedAt, expiresAt, endpointId, team, revoked, tickets, resume] = answer;
    const state = { tickets: tickets.split(','), resume, startedAt, expiresAt };
    return { adopted: true, tokenId, endpointId, team, epoch, remainingMs, revoked: revoked === 1, ...state };
  }

  async finish({ id, sessionId, node, epoch, reason, startedAt, expiresAt }: SessionEnd): Promise<boolean> {
    const key = tokenKey(id);
    if (!key) return false;
    const session = storedSession(id, sessionId);
    const args = [session, node, epoch, reason, this.#options.retentionMs, startedAt, expiresAt];
    // Not repeated here: the second answer would deny what the first one did.
    const step = () => this.#client.callgateFinish(key, ...args);
    return (await this.#caller.call(key, step, { once: true })) === 1;
  }

  /** The place after the record, because that of a session that has moved is another's. */
  async #renewOne(session: HeldSession): Promise<void> {
    const place = placesKey(session.endpointId);
    const failed = await this.#hold(session, { oneTry: true }).then(
      (answer) => answer === MOVED && 'moved',
      (error: unknown) => ({ error }),
    );
    if (failed === 'moved') return;
    if (failed && this.#options.isAway(place)) throw failed.error;
    const { leaseMs, withClock } = this.#options;
    const step = (steady: number) => this.#client.zadd(place, steady + leaseMs, session.sessionId);
    await withClock(place, step, { oneTry: true });
    if (failed) throw failed.error;
  }

  /** Writes a session that is held, and tells what became of it meanwhile. */
  async #hold(session: HeldSession, options: CallOptions): Promise<number> {
    const key = tokenKey(session.tokenId);
    if (!key) return 0;
    const answer = await this.#options.withClock(key, this.#holding(key, session, false), options);
    if (answer === REVOKED) this.#options.revocations.tell(session.sessionId);
    if (answer === MOVED) this.#options.revocations.tellMoved(session.sessionId);
    return answer;
  }

  #holding(key: string, session: HeldSession, leaves: boolean) {
    const { tokenId, sessionId, node, epoch, tickets, resume, startedAt, expiresAt } = session;
    const id = storedSession(tokenId, sessionId);
    const { leaseMs, retentionMs } = this.#options;
    const state = [tickets.join(','), resume, startedAt, expiresAt, Number(leaves)];
    return (steady: number) =>
      this.#client.callgateHold(key, id, node, epoch, steady + leaseMs, leaseMs, retentionMs, ...state);
  }
}

/** Its node writes it again with the next renewal. */
export const forgottenBurn = () =>
  new CallgateError('unavailable', { retryable: true, cause: new Error('a failover may have forgotten the session') });

import { hash } from 'node:crypto';
import { callability } from '../directory/callability.ts';
import type { DirectorySource, Endpoint } from '../directory/directory.ts';
import { CallgateError, hasCode, unspent } from '../errors.ts';
import type { MediaPlane, Reservation } from '../media/media.ts';
import type { StartMessage } from '../protocol/messages.ts';
import type { SessionGrant } from '../session/client.ts';
import { randomText } from '../shared/random.ts';
import type { Burn, ForeignToken, HeldSession, TokenStore } from '../store/store.ts';
import { type CallTokenClaims, sameFingerprint } from '../tokens/claims.ts';
import { newSessionId } from '../tokens/session-id.ts';
import { claimedId, type VerifyToken } from '../tokens/verifier.ts';
import { originAllowed } from './origin.ts';

export interface AdmissionDeps {
  directory: DirectorySource;
  store: TokenStore;
  media: MediaPlane;
  verify: VerifyToken;
  /** The id of this process. */
  node: string;
}

/** One `start`, whose token is verified. */
export interface Presentation {
  start: StartMessage;
  claims: CallTokenClaims;
  origin: string | undefined;
  /** Whether the client has left. */
  gone(): boolean;
}

/** Checks one `start`, reserves what the call needs, and burns its token. */
export class Admission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** What the token says; rejects with `token_invalid`, `token_expired` or `unavailable`. */
  verify(token: string): Promise<CallTokenClaims> {
    const now = this.#deps.store.now(() => claimedId(token));
    return this.#deps.verify(token, now);
  }

  /**
   * Resolves to the grant of the one session that this token buys, or to undefined when `gone` says that the client has
   * left before the burn. Rejects with the first refusal in the documented order. Nothing before the burn spends the token,
   * and whatever was reserved is released on every way out but the grant.
   */
  async admit({ start, claims, origin, gone }: Presentation): Promise<SessionGrant | undefined> {
    const endpoint = this.#check(start, claims, origin);
    const ticket = randomText(32, 'base64url');
    const burn = this.#burnOf(endpoint, { start, claims, ticket });
    const reservation = await this.#reserve(endpoint, burn);
    try {
      if (gone()) return this.#release(reservation, burn);
      this.#checkCallable(endpoint, claims);
      const { remainingMs, ...lease } = await this.#burn(burn);
      const bound = claims.fingerprint === undefined ? {} : { fingerprint: claims.fingerprint };
      const call = { endpoint, media: start.media ?? {}, ...bound };
      return { lease, remainingMs, expiresAt: lease.expiresAt, call, reservation, ticket };
    } catch (error) {
      this.#release(reservation, burn);
      throw error;
    }
  }

  #burnOf(
    endpoint: Endpoint,
    { start, claims, ticket }: { start: StartMessage; claims: CallTokenClaims; ticket: string },
  ): Burn {
    const foreign = foreignTokenOf(claims, endpoint);
    return {
      id: claims.id,
      endpointId: endpoint.id,
      sessionId: newSessionId(claims.id),
      node: this.#deps.node,
      tickets: [hash('sha256', ticket, 'base64url')],
      resume: JSON.stringify({ media: start.media ?? {} }),
      ...(foreign && { foreign }),
    };
  }

  #check(start: StartMessage, claims: CallTokenClaims, origin: string | undefined): Endpoint {
    if (claims.endpointId !== start.endpoint_id) throw unspent('endpoint_mismatch');
    const endpoint = this.#deps.directory.current.endpoint(claims.endpointId);
    if (!endpoint) throw unspent('endpoint_unavailable');
    this.#checkCallable(endpoint, claims);
    if (!originAllowed(origin, endpoint.allowedOrigins)) throw unspent('origin_denied');
    if (claims.fingerprint !== undefined && !shows(start, claims.fingerprint)) throw unspent('fingerprint_mismatch');
    return endpoint;
  }

  /** Looked at again right before the burn: the directory may have changed during the reservation. */
  #checkCallable(endpoint: Endpoint, { team }: CallTokenClaims): void {
    if (callability(this.#deps.directory.current, endpoint.id, team) !== 'ok') throw unspent('endpoint_unavailable');
  }

  /** Reserves a slot on a worker and takes a place at the endpoint: both or none. Whatever is refused here, nothing was burned. */
  async #reserve(endpoint: Endpoint, burn: Burn): Promise<Reservation> {
    const { endpointId, sessionId, id, foreign } = burn;
    const { media, store } = this.#deps;
    let reservation: Reservation | undefined;
    try {
      reservation = await media.reserve(endpoint);
      const taken = await store.acquirePlace({ endpointId, sessionId, max: endpoint.maxSessions });
      if (!taken) throw unspent('at_capacity');
      return reservation;
    } catch (error) {
      if (reservation) this.#release(reservation, burn);
      throw await this.#ofFull(id, foreign, error);
    }
  }

  /** When every slot or place is taken, the client still learns why the burn would have refused its token, if it would. */
  async #ofFull(tokenId: string, foreign: ForeignToken | undefined, error: unknown): Promise<unknown> {
    if (!hasCode(error, 'at_capacity')) return hasCode(error, 'unavailable') ? unspent('unavailable') : error;
    return this.#deps.store.peek(tokenId, foreign).then(
      (refusal) => (refusal ? new CallgateError(refusal) : error),
      (failure: unknown) => (hasCode(failure, 'unavailable') ? unspent('unavailable') : failure),
    );
  }

  async #burn(burn: Burn): Promise<HeldSession & { remainingMs: number }> {
    const result = await this.#deps.store.burn(burn);
    if (!result.burned) throw new CallgateError(result.refusal);
    const { id: tokenId, endpointId, sessionId, node, tickets, resume } = burn;
    const { remainingMs, startedAt, expiresAt, epoch } = result;
    return { tokenId, endpointId, sessionId, node, epoch, tickets, resume, startedAt, expiresAt, remainingMs };
  }

  #release(reservation: Reservation, { endpointId, sessionId }: Burn): undefined {
    reservation.release();
    // A place that cannot be given back is freed when its lease lapses.
    this.#deps.store.releasePlace({ endpointId, sessionId }).catch(() => undefined);
  }
}

/** What the record of a foreign token is made of; undefined for our own tokens, which have one already. */
function foreignTokenOf(
  { foreign, team, iat, exp, fingerprint }: CallTokenClaims,
  endpoint: Endpoint,
): ForeignToken | undefined {
  if (!foreign) return undefined;
  const { maxDurationSeconds: limit } = endpoint;
  return {
    team,
    issuedAt: Math.floor(iat * 1000),
    expiresAt: Math.floor(exp * 1000),
    maxDurationSeconds: Math.min(foreign.maxDurationSeconds ?? limit, limit),
    ...(fingerprint && { fingerprint }),
  };
}

const shows = ({ dtls_fingerprint: shown }: StartMessage, bound: string): boolean =>
  shown !== undefined && sameFingerprint(shown, bound);

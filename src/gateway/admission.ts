import { randomBytes } from 'node:crypto';
import { callability } from '../directory/callability.ts';
import type { DirectorySource, Endpoint } from '../directory/directory.ts';
import { CallgateError } from '../errors.ts';
import type { MediaPlace, MediaPlane } from '../media/media.ts';
import type { CallErrorCode } from '../protocol/codes.ts';
import type { StartMessage } from '../protocol/messages.ts';
import type { SessionGrant } from '../session/session.ts';
import { type CallTokenClaims, sameFingerprint } from '../tokens/claims.ts';
import type { Lease, TokenStore } from '../tokens/store.ts';
import { originAllowed } from './origin.ts';

export interface AdmissionDeps {
  directory: DirectorySource;
  store: TokenStore;
  media: MediaPlane;
  /** Rejects with `token_invalid` or `token_expired`. */
  verify(token: string): Promise<CallTokenClaims>;
}

/** Checks one `start`, reserves what the call needs, and burns its token. */
export class Admission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves to the grant of the one session that this token buys, or to undefined when `gone` says that the client has
   * left before the burn. Rejects with the first refusal in the documented order. Nothing before the burn spends the token,
   * and whatever was reserved is released on every way out but the grant.
   */
  async admit(start: StartMessage, origin: string | undefined, gone: () => boolean): Promise<SessionGrant | undefined> {
    const claims = await this.#deps.verify(start.token);
    const endpoint = this.#check(start, claims, origin);
    const place = await this.#deps.media.reserve(endpoint);
    const sessionId = `sess_${randomBytes(16).toString('hex')}`;
    const lease: Lease = { tokenId: claims.id, endpointId: endpoint.id, sessionId };
    try {
      await this.#takePlace(lease, endpoint.maxSessions);
      if (gone()) return this.#release(place, lease);
      const { remainingMs, expiresAt } = await this.#burn(lease);
      const bound = claims.fingerprint === undefined ? {} : { fingerprint: claims.fingerprint };
      const call = { endpoint, media: start.media ?? {}, ...bound };
      return { lease, remainingMs, expiresAt, call, place, ticket: randomBytes(32).toString('base64url') };
    } catch (error) {
      this.#release(place, lease);
      throw error;
    }
  }

  #check(start: StartMessage, claims: CallTokenClaims, origin: string | undefined): Endpoint {
    if (claims.endpointId !== start.endpoint_id) throw unspent('endpoint_mismatch');
    const { current } = this.#deps.directory;
    const endpoint = current.endpoint(claims.endpointId);
    if (!endpoint || callability(current, endpoint.id, claims.team) !== 'ok') throw unspent('endpoint_unavailable');
    if (!originAllowed(origin, endpoint.allowedOrigins)) throw unspent('origin_denied');
    if (claims.fingerprint !== undefined && !shows(start, claims.fingerprint)) throw unspent('fingerprint_mismatch');
    return endpoint;
  }

  /** At a full endpoint the presenter learns what the burn would have refused, if anything. */
  async #takePlace({ tokenId, endpointId, sessionId }: Lease, max: number): Promise<void> {
    const { store } = this.#deps;
    const refused = await store
      .acquirePlace({ endpointId, sessionId, max })
      .then((taken) => (taken ? undefined : store.peek(tokenId).then((refusal) => refusal ?? 'at_capacity')))
      // Whatever became of the place, the token was not burned.
      .catch((error: unknown) => (isUnavailable(error) ? 'unavailable' : Promise.reject(error)));
    if (refused === undefined) return;
    throw refused === 'at_capacity' || refused === 'unavailable' ? unspent(refused) : new CallgateError(refused);
  }

  async #burn({ tokenId, endpointId, sessionId }: Lease): Promise<{ remainingMs: number; expiresAt: number }> {
    const result = await this.#deps.store.burn({ id: tokenId, endpointId, sessionId });
    if (!result.burned) throw new CallgateError(result.refusal);
    return result;
  }

  #release(place: MediaPlace, lease: Lease): undefined {
    place.release();
    // A place that cannot be given back is freed when its lease lapses.
    this.#deps.store.releasePlace(lease).catch(() => undefined);
  }
}

const isUnavailable = (error: unknown) => error instanceof CallgateError && error.code === 'unavailable';

const shows = ({ dtls_fingerprint: shown }: StartMessage, bound: string): boolean =>
  shown !== undefined && sameFingerprint(shown, bound);

const unspent = (code: CallErrorCode) => new CallgateError(code, { retryable: true });

import { callability } from '../directory/callability.ts';
import type { DirectorySource, Endpoint } from '../directory/directory.ts';
import { originAllowed } from '../directory/origin.ts';
import { unspent } from '../errors.ts';
import type { StartMessage } from '../protocol/messages.ts';
import type { OpenRequest } from '../session/client.ts';
import type { ForeignToken, TokenStore } from '../store/store.ts';
import type { RequestContext } from '../telemetry/audit.ts';
import { type CallTokenClaims, sameFingerprint } from '../tokens/claims.ts';
import { newSessionId } from '../tokens/session-id.ts';
import { claimedId, type VerifyToken } from '../tokens/verifier.ts';

export interface AdmissionDeps {
  directory: DirectorySource;
  store: Pick<TokenStore, 'now'>;
  verify: VerifyToken;
}

/** One `start`, whose token is verified. */
export interface Presentation {
  start: StartMessage;
  claims: CallTokenClaims;
  origin: string | undefined;
  context: RequestContext;
}

/** Checks one `start` against what its token and the directory say. What is refused here spends no token. */
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
   * What the session's side is to open.
   * @throws {CallgateError} the first refusal in the documented order
   */
  admit({ start, claims, origin, context }: Presentation): OpenRequest {
    const endpoint = this.#check(start, claims, origin);
    const { id: tokenId, endpointId, team, fingerprint } = claims;
    const foreign = foreignTokenOf(claims, endpoint);
    return {
      sessionId: newSessionId(tokenId),
      tokenId,
      endpointId,
      team,
      media: start.media ?? {},
      fresh: start.fresh === true,
      ...(fingerprint !== undefined && { fingerprint }),
      ...(foreign && { foreign }),
      context,
    };
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

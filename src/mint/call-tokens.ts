import type { FastifyRequest } from 'fastify';
import type { Config } from '../config.ts';
import { callability } from '../directory/callability.ts';
import type { DirectorySource, Endpoint } from '../directory/directory.ts';
import { CallgateError } from '../errors.ts';
import { type CallTokenClaims, parseTokenId } from '../tokens/claims.ts';
import type { CallTokenRecord, TokenStore } from '../tokens/store.ts';
import type { MintedToken, MintRequest, TokenRecord } from './schemas.ts';

/** What minting needs of the other rooms. */
export interface MintDeps {
  config: Config;
  directory: DirectorySource;
  store: Pick<TokenStore, 'issue' | 'read' | 'ready'>;
  sign: (claims: CallTokenClaims) => Promise<string>;
  newTokenId: () => string;
  /** Where a client presents the token that this request mints. */
  wsUrl: (request: FastifyRequest) => string;
}

/**
 * Mints a token for an endpoint of the team.
 * @throws {CallgateError} in the order of the documented table, from `endpoint_missing` on; `unavailable`
 */
export async function mint(
  deps: MintDeps,
  team: string,
  { endpoint_id, ttl_seconds, max_duration_seconds, metadata, dtls_fingerprint }: MintRequest,
): Promise<Omit<MintedToken, 'ws_url'>> {
  const endpoint = callableEndpoint(deps.directory, team, endpoint_id, max_duration_seconds);
  const id = deps.newTokenId();
  const maxDurationSeconds = max_duration_seconds ?? endpoint.maxDurationSeconds;
  const { createdAt, expiresAt } = await deps.store.issue({
    id,
    endpointId: endpoint.id,
    team,
    ttlSeconds: ttl_seconds ?? deps.config.tokens.default_ttl_seconds,
    maxDurationSeconds,
    ...(metadata && { metadata }),
  });
  // The record comes first: a token without one could never be burned, and the store's clock gives the times. `exp` is
  // rounded up, because the store and not the JWT has the last word on expiry.
  const token = await deps.sign({
    id,
    endpointId: endpoint.id,
    team,
    iat: Math.floor(createdAt / 1000),
    exp: Math.ceil(expiresAt / 1000),
    ...(dtls_fingerprint && { fingerprint: dtls_fingerprint }),
  });
  return {
    id,
    token,
    endpoint_id: endpoint.id,
    status: 'issued',
    created_at: rfc3339(createdAt),
    expires_at: rfc3339(expiresAt),
    max_duration_seconds: maxDurationSeconds,
  };
}

/**
 * The record of a token; with a team, of that team's tokens only.
 * @throws {CallgateError} `token_not_found`, also for another team's; `unavailable`
 */
export async function read(deps: Pick<MintDeps, 'store'>, id: string, team?: string): Promise<TokenRecord> {
  const record = parseTokenId(id) && (await deps.store.read(id));
  if (!record || (team !== undefined && record.team !== team)) throw new CallgateError('token_not_found');
  return toBody(record);
}

function callableEndpoint(
  { current }: DirectorySource,
  team: string,
  id: string | undefined,
  maxDuration = 1,
): Endpoint {
  if (id === undefined) throw new CallgateError('endpoint_missing');
  const answer = callability(current, id, team);
  const endpoint = current.endpoint(id);
  if (endpoint === undefined || answer === 'endpoint_unknown') throw new CallgateError('endpoint_unknown');
  if (answer === 'webrtc_disabled' || answer === 'endpoint_not_webrtc') throw new CallgateError(answer);
  if (maxDuration > endpoint.maxDurationSeconds) {
    const message = `max_duration_seconds: must be at most ${endpoint.maxDurationSeconds}, the endpoint's limit`;
    throw new CallgateError('request_malformed', { message });
  }
  if (answer !== 'ok') throw new CallgateError(answer);
  return endpoint;
}

function toBody(record: CallTokenRecord): TokenRecord {
  const { session } = record;
  return {
    id: record.id,
    endpoint_id: record.endpointId,
    status: record.status,
    created_at: rfc3339(record.createdAt),
    expires_at: rfc3339(record.expiresAt),
    max_duration_seconds: record.maxDurationSeconds,
    metadata: record.metadata ?? {},
    ...(session && {
      session: {
        id: session.id,
        started_at: rfc3339(session.startedAt),
        expires_at: rfc3339(session.expiresAt),
        ended_at: session.endedAt === undefined ? null : rfc3339(session.endedAt),
        end_reason: session.endReason ?? null,
      },
    }),
  };
}

const rfc3339 = (ms: number): string => new Date(ms).toISOString();

import type { IncomingMessage } from 'node:http';
import type { Config } from '../config/config.ts';
import { callability } from '../directory/callability.ts';
import type { DirectorySource, Endpoint } from '../directory/directory.ts';
import { CallgateError } from '../errors.ts';
import type { CallTokenRecord, NewCallToken, TokenStore } from '../store/store.ts';
import type { AuditEvent } from '../telemetry/audit.ts';
import { parseTokenId } from '../tokens/claims.ts';
import { successorId } from '../tokens/ids.ts';
import type { SignToken } from '../tokens/signer.ts';
import { type IdempotencyKeys, type KeyedRequest, once } from './idempotency.ts';
import { readCursor, toCursor } from './list-cursor.ts';
import type { MintRate } from './rate-limit.ts';
import type { ListQuery, MintedToken, MintRequest, RefreshRequest, TokenList, TokenRecord } from './schemas.ts';

/** What minting needs of the other rooms. */
export interface MintDeps {
  config: Config;
  directory: DirectorySource;
  store: Pick<TokenStore, 'issue' | 'read' | 'refresh' | 'revoke' | 'list' | 'ready'> & {
    readonly idempotency: IdempotencyKeys;
    readonly mintRate: MintRate;
  };
  sign: SignToken;
  /** A fresh id; with a family, one of it. */
  newTokenId: (family?: string) => string;
  /** Takes down what was done and what was refused. */
  audit: (event: AuditEvent) => void;
  /** Where a client presents the token that this request mints. */
  wsUrl: (request: IncomingMessage) => string;
}

type Minted = Omit<MintedToken, 'ws_url'>;
/** A token as the store has it once it is issued. */
type IssuedToken = Omit<NewCallToken, 'ttlSeconds'> & { createdAt: number; expiresAt: number };

/**
 * Mints a token for an endpoint of the team.
 * @throws {CallgateError} in the order of the documented table, from `endpoint_missing` on; `unavailable`
 */
export async function mint(
  deps: MintDeps,
  team: string,
  { endpoint_id, ttl_seconds, max_duration_seconds, metadata, dtls_fingerprint }: MintRequest,
  keyed?: KeyedRequest,
): Promise<Minted> {
  if (endpoint_id === undefined) throw new CallgateError('endpoint_missing');
  const { endpoint, requireOpen } = findEndpoint(deps.directory, team, endpoint_id);
  if ((max_duration_seconds ?? 1) > endpoint.maxDurationSeconds) {
    const message = `max_duration_seconds: must be at most ${endpoint.maxDurationSeconds}, the endpoint's limit`;
    throw new CallgateError('request_malformed', { message });
  }
  return once(deps.store.idempotency, keyed, {
    newId: () => deps.newTokenId(),
    issue: async (id) => {
      requireOpen();
      const token: NewCallToken = {
        id,
        endpointId: endpoint.id,
        team,
        ttlSeconds: ttl_seconds ?? deps.config.tokens.default_ttl_seconds,
        maxDurationSeconds: max_duration_seconds ?? endpoint.maxDurationSeconds,
        ...(metadata && { metadata }),
        ...(dtls_fingerprint && { fingerprint: dtls_fingerprint }),
      };
      return signed(deps, { ...token, ...(await deps.store.issue(token)) });
    },
    replay: async (id) => {
      requireOpen();
      return signedAgain(deps, id);
    },
  });
}

/**
 * Revokes a token that is still issued and mints one of the same kind in its place, in one step.
 * @throws {CallgateError} `endpoint_unknown` or `endpoint_not_webrtc` when the directory has changed since the mint;
 * `token_not_found`, also for another team's; `endpoint_disabled`, `flow_not_live`, `token_not_issued`; `unavailable`
 */
export async function refresh(
  deps: MintDeps,
  team: string,
  { id, ttl_seconds: ttlSeconds }: RefreshRequest & { id: string },
  keyed?: KeyedRequest,
): Promise<Minted> {
  const record = await findRecord(deps.store, id, team);
  const family = parseTokenId(record.id)?.family ?? '';
  const { requireOpen } = findEndpoint(deps.directory, team, record.endpointId);
  return once(deps.store.idempotency, keyed, {
    newId: (request) => (request === undefined ? deps.newTokenId(family) : successorId(family, request)),
    issue: async (newId) => {
      requireOpen();
      const result = await deps.store.refresh({ id, successorId: newId, team, ttlSeconds });
      if (!result.refreshed) throw new CallgateError('token_not_issued');
      return signed(deps, { ...record, id: newId, createdAt: result.createdAt, expiresAt: result.expiresAt });
    },
    replay: async (newId) => {
      requireOpen();
      return signedAgain(deps, newId);
    },
  });
}

/**
 * Revokes a token: one that is issued buys no call any more, the session of an active one ends, also if its record is lost.
 * @throws {CallgateError} `token_not_found`, also for another team's; `unavailable`
 */
export async function revoke({ store }: Pick<MintDeps, 'store'>, id: string, team: string): Promise<void> {
  if ((await store.revoke(id, team)) === 'unknown') throw new CallgateError('token_not_found');
}

/**
 * The record of a token; with a team, of that team's tokens only.
 * @throws {CallgateError} `token_not_found`, also for another team's; `unavailable`
 */
export async function read({ store }: Pick<MintDeps, 'store'>, id: string, team?: string): Promise<TokenRecord> {
  return toBody(await findRecord(store, id, team));
}

/**
 * A page of the team's tokens, newest first.
 * @throws {CallgateError} `request_malformed` for a cursor that is none; `unavailable`
 */
export async function list(
  { store }: Pick<MintDeps, 'store'>,
  team: string,
  { endpoint_id, status, limit = DEFAULT_LIMIT, cursor }: ListQuery,
): Promise<TokenList> {
  const { records, next } = await store.list({
    team,
    limit,
    ...(endpoint_id !== undefined && { endpointId: endpoint_id }),
    ...(status && { status }),
    ...(cursor !== undefined && { after: readCursor(cursor) }),
  });
  return { data: records.map(toBody), next_cursor: next ? toCursor(next) : null };
}

const DEFAULT_LIMIT = 20;

/**
 * The endpoint of a team, and whether it takes calls.
 * @throws {CallgateError} `endpoint_unknown`, also for another team's; `webrtc_disabled`, `endpoint_not_webrtc`
 */
function findEndpoint(
  { current }: DirectorySource,
  team: string,
  id: string,
): { endpoint: Endpoint; requireOpen(): void } {
  const answer = callability(current, id, team);
  const endpoint = current.endpoint(id);
  if (endpoint === undefined || answer === 'endpoint_unknown') throw new CallgateError('endpoint_unknown');
  if (answer === 'webrtc_disabled' || answer === 'endpoint_not_webrtc') throw new CallgateError(answer);
  const requireOpen = () => {
    if (answer !== 'ok') throw new CallgateError(answer);
  };
  return { endpoint, requireOpen };
}

async function findRecord(store: Pick<TokenStore, 'read'>, id: string, team?: string): Promise<CallTokenRecord> {
  const record = parseTokenId(id) && (await store.read(id, team));
  if (!record) throw new CallgateError('token_not_found');
  return record;
}

/** The answer of an earlier request once more; no token is kept, its record says all that was signed. */
async function signedAgain(deps: Pick<MintDeps, 'store' | 'sign'>, id: string): Promise<Minted> {
  const record = await deps.store.read(id);
  if (record?.status !== 'issued') throw new CallgateError('token_not_issued');
  return signed(deps, record);
}

/**
 * The record comes first: a token without one could never be burned, and the store's clock gives the times. `exp` is
 * rounded up, because the store and not the JWT has the last word on expiry.
 */
function signed({ sign }: Pick<MintDeps, 'sign'>, record: IssuedToken): Minted {
  const { id, endpointId, team, createdAt, expiresAt, maxDurationSeconds, fingerprint } = record;
  const token = sign({
    id,
    endpointId,
    team,
    iat: Math.floor(createdAt / 1000),
    exp: Math.ceil(expiresAt / 1000),
    ...(fingerprint && { fingerprint }),
  });
  return {
    id,
    token,
    endpoint_id: endpointId,
    status: 'issued',
    created_at: rfc3339(createdAt),
    expires_at: rfc3339(expiresAt),
    max_duration_seconds: maxDurationSeconds,
  };
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

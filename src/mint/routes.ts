import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiKey, Scope } from '../directory/directory.ts';
import { CallgateError, type HttpErrorCode } from '../errors.ts';
import { peerAddress } from '../http/address.ts';
import { takeJsonBodies } from '../http/json-body.ts';
import { onlyAllow } from '../http/methods.ts';
import { toCallgateError } from '../http/problems.ts';
import { REFUSALS, Refusals } from '../http/refusals.ts';
import { operation } from '../reference/operations.ts';
import { authenticate } from './api-keys.ts';
import { refusedRequest, requestContext } from './audit.ts';
import { list, type MintDeps, mint, read, refresh, revoke } from './call-tokens.ts';
import type { KeyedRequest } from './idempotency.ts';
import { limitMints } from './rate-limit.ts';
import {
  IdempotencyHeaders,
  ListQuery,
  MintedToken,
  MintRequest,
  NoContent,
  problems,
  RefreshRequest,
  TokenList,
  TokenParams,
  TokenRecord,
} from './schemas.ts';

const API_KEY = 'apiKey';

/** What every call may answer. */
const ANY = [
  'server_to_server_only',
  'api_key_missing',
  'api_key_invalid',
  'scope_missing',
  'unavailable',
  'request_malformed',
  'internal_error',
] as const;
const BODY = ['body_too_large', 'media_type_unsupported'] as const;
/** What minting and refreshing may answer besides. */
const MINTS = [
  ...BODY,
  'webrtc_disabled',
  'rate_limited',
  'endpoint_unknown',
  'endpoint_not_webrtc',
  'idempotency_key_reused',
  'endpoint_disabled',
  'flow_not_live',
  'token_not_issued',
] as const;

/** Refusals that the documented order puts before `unavailable`. */
const BEFORE_THE_STORE: ReadonlySet<HttpErrorCode> = new Set([
  'server_to_server_only',
  'api_key_missing',
  'api_key_invalid',
  'webrtc_disabled',
  'scope_missing',
  'not_found',
  'method_not_allowed',
]);

export const MINT_PATH = '/v1/call-tokens';

const refused = () => new CallgateError('server_to_server_only');

/** The refusal of a request that no route has seen, when it comes from a page and goes to where tokens are minted. */
export const refusePage = ({ headers, url }: FastifyRequest): CallgateError | undefined =>
  headers.origin !== undefined && url.startsWith(MINT_PATH) ? refused() : undefined;

/**
 * `/v1/call-tokens`, for backends. To be registered with that prefix, so that the hooks see every path below it, also
 * those that are not there. Who asks is settled before a body is read.
 */
export const mintRoutes: FastifyPluginAsyncTypebox<MintDeps> = async (app, deps) => {
  const keyOf = (request: FastifyRequest) => request.getDecorator<ApiKey>(API_KEY);
  const peerOf = ({ raw }: FastifyRequest) => peerAddress(raw, deps.config.http.trusted_proxies);
  const contextOf = (request: FastifyRequest) => requestContext(request, peerOf(request), keyOf(request));
  const refusals = new Refusals(deps.config.admission);
  const requireScope = (scope: Scope) => async (request: FastifyRequest) => {
    if (!keyOf(request).scopes.has(scope)) throw new CallgateError('scope_missing');
  };
  const limitRate = async (request: FastifyRequest, reply: FastifyReply) => {
    const team = deps.directory.current.team(keyOf(request).team);
    if (team) await limitMints(deps.store.mintRate, team, reply);
  };
  const requireWebrtc = async (request: FastifyRequest) => {
    if (!deps.directory.current.team(keyOf(request).team)?.webrtc) throw new CallgateError('webrtc_disabled');
  };
  const mayMint = [requireWebrtc, requireScope('CREATE_CALL_TOKEN'), limitRate];
  const keyed = (request: FastifyRequest, path: string): KeyedRequest | undefined => {
    const { headers, method, body } = request;
    const key = headers['idempotency-key'];
    return typeof key === 'string' ? { key, team: keyOf(request).team, method, path, body } : undefined;
  };

  takeJsonBodies(app);
  app.decorateRequest(API_KEY);
  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    reply.header('cache-control', 'no-store');
    if (request.headers.origin !== undefined) throw refused();
    request.setDecorator(API_KEY, authenticate(deps.directory.current, request.headers.authorization));
    if (request.is404) throw new CallgateError('not_found');
  });
  app.setNotFoundHandler(async () => {
    throw new CallgateError('not_found');
  });
  // The store is asked late, but its absence is told before what comes after it in the documented order.
  app.setErrorHandler((error, request, reply) => {
    const known = toCallgateError(error);
    const isEarly = BEFORE_THE_STORE.has(known.code as HttpErrorCode) || known.status >= 500;
    const told = isEarly || deps.store.ready ? known : new CallgateError('unavailable', { retryable: true });
    if (REFUSALS.has(told.status) && !refusals.record(peerOf(request))) {
      reply.header('connection', 'close');
      throw new CallgateError('rate_limited', { retryAfter: 60 });
    }
    deps.audit({ event: 'refusal', ...contextOf(request), ...refusedRequest(request), code: told.code });
    throw told;
  });

  app.post(
    '',
    {
      onRequest: mayMint,
      schema: {
        ...operation('mintCallToken'),
        headers: IdempotencyHeaders,
        body: MintRequest,
        response: { 201: MintedToken, ...problems(...ANY, ...MINTS, 'endpoint_missing') },
      },
    },
    async (request, reply) => {
      const ws_url = deps.wsUrl(request.raw);
      const minted = await mint(deps, keyOf(request).team, request.body, keyed(request, MINT_PATH));
      deps.audit({ event: 'mint', ...contextOf(request), endpoint_id: minted.endpoint_id, token_id: minted.id });
      return reply.code(201).send({ ...minted, ws_url });
    },
  );

  app.get(
    '',
    {
      onRequest: requireScope('READ_CALL_TOKEN'),
      preValidation: async (request) => {
        // Converting it would take 1.5 for 1.
        const { limit = '1' } = request.query as Record<string, unknown>;
        if (!/^\d+$/.test(String(limit))) {
          throw new CallgateError('request_malformed', { message: 'limit: must be integer' });
        }
      },
      schema: {
        ...operation('listCallTokens'),
        querystring: ListQuery,
        response: { 200: TokenList, ...problems(...ANY) },
      },
    },
    async (request) => list(deps, keyOf(request).team, request.query),
  );
  onlyAllow(app, '', ['GET', 'POST']);

  app.get(
    '/:id',
    {
      onRequest: requireScope('READ_CALL_TOKEN'),
      schema: {
        ...operation('readCallToken'),
        params: TokenParams,
        response: { 200: TokenRecord, ...problems(...ANY, 'token_not_found') },
      },
    },
    async (request) => read(deps, request.params.id, keyOf(request).team),
  );

  app.delete(
    '/:id',
    {
      config: { emptyBody: true },
      onRequest: requireScope('CREATE_CALL_TOKEN'),
      schema: {
        ...operation('revokeCallToken'),
        params: TokenParams,
        response: { 204: NoContent, ...problems(...ANY, ...BODY, 'token_not_found') },
      },
    },
    async (request, reply) => {
      await revoke(deps, request.params.id, keyOf(request).team);
      deps.audit({ event: 'revoke', ...contextOf(request), token_id: request.params.id });
      return reply.code(204).send(null);
    },
  );
  onlyAllow(app, '/:id', ['GET', 'DELETE']);

  app.post(
    '/:id/refresh',
    {
      config: { emptyBody: true },
      onRequest: mayMint,
      preValidation: async (request) => {
        if (request.body === undefined) request.body = {};
      },
      schema: {
        ...operation('refreshCallToken'),
        params: TokenParams,
        headers: IdempotencyHeaders,
        body: RefreshRequest,
        response: { 201: MintedToken, ...problems(...ANY, ...MINTS, 'token_not_found') },
      },
    },
    async (request, reply) => {
      const ws_url = deps.wsUrl(request.raw);
      const { id } = request.params;
      const path = `${MINT_PATH}/${id}/refresh`;
      const minted = await refresh(deps, keyOf(request).team, { ...request.body, id }, keyed(request, path));
      const { endpoint_id, id: token_id } = minted;
      deps.audit({ event: 'refresh', ...contextOf(request), endpoint_id, token_id, replaces: id });
      return reply.code(201).send({ ...minted, ws_url });
    },
  );
  onlyAllow(app, '/:id/refresh', ['POST']);
};

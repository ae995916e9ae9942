import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { ApiKey, Scope } from '../directory/directory.ts';
import { CallgateError, type HttpErrorCode } from '../errors.ts';
import { authenticate } from './api-keys.ts';
import { type MintDeps, mint, read } from './call-tokens.ts';
import { takeJsonBodies } from './json-body.ts';
import { onlyAllow } from './methods.ts';
import { toCallgateError } from './problems.ts';
import { MintedToken, MintRequest, TokenRecord } from './schemas.ts';

const API_KEY = 'apiKey';
const TokenParams = Type.Object({ id: Type.String() });

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
  const requireScope = (scope: Scope) => async (request: FastifyRequest) => {
    if (!keyOf(request).scopes.has(scope)) throw new CallgateError('scope_missing');
  };
  const requireWebrtc = async (request: FastifyRequest) => {
    if (!deps.directory.current.team(keyOf(request).team)?.webrtc) throw new CallgateError('webrtc_disabled');
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
  app.setErrorHandler((error) => {
    const known = toCallgateError(error);
    const isEarly = BEFORE_THE_STORE.has(known.code as HttpErrorCode) || known.status >= 500;
    throw isEarly || deps.store.ready ? known : new CallgateError('unavailable', { retryable: true });
  });

  app.post(
    '',
    {
      onRequest: [requireWebrtc, requireScope('CREATE_CALL_TOKEN')],
      schema: { body: MintRequest, response: { 201: MintedToken } },
    },
    async (request, reply) => {
      const ws_url = deps.wsUrl(request);
      const minted = await mint(deps, keyOf(request).team, request.body);
      return reply.code(201).send({ ...minted, ws_url });
    },
  );
  onlyAllow(app, '', ['POST']);

  app.get(
    '/:id',
    { onRequest: requireScope('READ_CALL_TOKEN'), schema: { params: TokenParams, response: { 200: TokenRecord } } },
    async (request) => read(deps, request.params.id, keyOf(request).team),
  );
  onlyAllow(app, '/:id', ['GET']);
};

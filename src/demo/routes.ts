import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { CallgateApiError, createClient } from '../backend/index.ts';
import { callability } from '../directory/callability.ts';
import { CallgateError, HTTP_PROBLEMS, type HttpErrorCode } from '../errors.ts';
import { loopbackOrigin } from '../http/host.ts';
import { takeJsonBodies } from '../http/json-body.ts';
import { onlyAllow } from '../http/methods.ts';
import type { MintDeps } from '../mint/call-tokens.ts';
import { MintedToken, MintRequest, TokenParams, TokenRecord } from '../mint/schemas.ts';

const Endpoints = Type.Object({
  endpoints: Type.Array(
    Type.Object({
      id: Type.String(),
      target: Type.Enum(['echo', 'room', 'stream']),
      audio: Type.Boolean(),
      video: Type.Boolean(),
    }),
  ),
});

export interface DemoDeps extends MintDeps {
  /** The key that the demo mints with, as any backend would. */
  apiKey: string;
}

/** How long the page waits for its token, retries included. */
const TIMEOUT_MS = 3000;

/**
 * `/demo`: plays the backend of the demo's own page. It mints through the public API like any other backend, with the key
 * that was made at this start. The server listens on loopback only; these routes answer its own page only.
 */
export const demoRoutes: FastifyPluginAsyncTypebox<DemoDeps> = async (app, deps) => {
  const backend = ({ socket }: FastifyRequest) =>
    createClient({ url: addressOf(socket), apiKey: deps.apiKey, timeoutMs: TIMEOUT_MS });
  takeJsonBodies(app);
  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    reply.header('cache-control', 'no-store');
    if (!isOwnPage(request.raw)) {
      throw new CallgateError('server_to_server_only', { message: 'The demo mints for its own page only' });
    }
  });

  app.post(
    '/call-tokens',
    { schema: { body: MintRequest, response: { 201: MintedToken } } },
    async (request, reply) => {
      const { endpoint_id, ...more } = request.body;
      if (endpoint_id === undefined) throw new CallgateError('endpoint_missing');
      const minted = await backend(request)
        .mint({ endpoint_id, ...more })
        .catch(passOn);
      return reply.code(201).send({ ...minted, ws_url: deps.wsUrl(request.raw) });
    },
  );
  onlyAllow(app, '/call-tokens', ['POST']);

  app.get('/call-tokens/:id', { schema: { params: TokenParams, response: { 200: TokenRecord } } }, async (request) =>
    backend(request).read(request.params.id).catch(passOn),
  );
  onlyAllow(app, '/call-tokens/:id', ['GET']);

  app.get('/endpoints', { schema: { response: { 200: Endpoints } } }, async () => {
    const { current } = deps.directory;
    const callable = current.endpoints.filter(({ id }) => callability(current, id) === 'ok');
    return {
      endpoints: callable.map(({ id, target, media: { audio, video } }) => ({ id, target: target.kind, audio, video })),
    };
  });
  onlyAllow(app, '/endpoints', ['GET']);
};

/** What the API answered is the demo's answer, too. */
function passOn(error: unknown): never {
  if (!(error instanceof CallgateApiError) || !(error.code in HTTP_PROBLEMS)) throw error;
  const { code, retryAfter, retryable } = error;
  throw new CallgateError(code as HttpErrorCode, { retryable, ...(retryAfter !== undefined && { retryAfter }) });
}

const addressOf = ({ localAddress = '', localFamily, localPort }: Socket): string =>
  `http://${localFamily === 'IPv6' ? `[${localAddress}]` : localAddress}:${localPort}`;

/**
 * Whether a request comes from the page that this server itself serves on loopback. Browsers send an `Origin`
 * with every POST, and omit it on a GET of the same origin only.
 */
function isOwnPage(request: IncomingMessage): boolean {
  const { origin, 'sec-fetch-site': site = 'same-origin' } = request.headers;
  const own = loopbackOrigin(request);
  if (own === undefined) return false;
  const isSameOrigin = origin === undefined ? request.method !== 'POST' : origin === own;
  return isSameOrigin && site === 'same-origin';
}

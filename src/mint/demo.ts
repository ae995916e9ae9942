import type { IncomingMessage } from 'node:http';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { isLoopback } from '../config.ts';
import { callability } from '../directory/callability.ts';
import { CallgateError } from '../errors.ts';
import { asker } from './audit.ts';
import { type MintDeps, mint, read } from './call-tokens.ts';
import { takeJsonBodies } from './json-body.ts';
import { onlyAllow } from './methods.ts';
import { MintedToken, MintRequest, TokenParams, TokenRecord } from './schemas.ts';

const Endpoints = Type.Object({
  endpoints: Type.Array(
    Type.Object({
      id: Type.String(),
      target: Type.Enum(['echo', 'room']),
      audio: Type.Boolean(),
      video: Type.Boolean(),
    }),
  ),
});

/**
 * `/demo`: lets the demo's own page mint for itself, with the answers of the real calls. The server listens on loopback
 * only; these routes answer its own page only.
 */
export const demoRoutes: FastifyPluginAsyncTypebox<MintDeps> = async (app, deps) => {
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
      const team = deps.directory.current.endpoint(request.body.endpoint_id ?? '')?.team ?? '';
      const ws_url = deps.wsUrl(request);
      const minted = await mint(deps, team, request.body);
      const { id, endpoint_id } = minted;
      deps.audit({ event: 'mint', ...asker(request), team, endpoint_id, token_id: id });
      return reply.code(201).send({ ...minted, ws_url });
    },
  );
  onlyAllow(app, '/call-tokens', ['POST']);

  app.get('/call-tokens/:id', { schema: { params: TokenParams, response: { 200: TokenRecord } } }, async (request) =>
    read(deps, request.params.id),
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

/**
 * Whether a request comes from the page that this server itself serves on loopback. Its `Host` must be a loopback name
 * with the port that it reached, because DNS rebinding reaches loopback under another name. Browsers send an `Origin`
 * with every POST, and omit it on a GET of the same origin only.
 */
function isOwnPage({ method, headers, socket }: IncomingMessage): boolean {
  const { host = '', origin, 'sec-fetch-site': site = 'same-origin' } = headers;
  const url = URL.parse(`http://${host}`);
  if (url === null || url.host !== host.toLowerCase()) return false;
  if (!isLoopback(url.hostname.replace(/^\[|\]$/g, '')) || Number(url.port || 80) !== socket.localPort) return false;
  const isSameOrigin = origin === undefined ? method !== 'POST' : origin === url.origin;
  return isSameOrigin && site === 'same-origin';
}

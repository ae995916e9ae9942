import { METHODS } from 'node:http';
import type { Socket } from 'node:net';
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import type { Config } from './config/config.ts';
import { demoRoutes } from './demo/routes.ts';
import { CallgateError } from './errors.ts';
import { onlyAllow } from './http/methods.ts';
import { refuseConnection, refuseRequest, sendProblem, toBytes } from './http/problems.ts';
import type { RequestQueue } from './http/request-queue.ts';
import { HttpServers } from './http/servers.ts';
import type { MintDeps } from './mint/call-tokens.ts';
import { type HangUpDeps, hangUpRoute, PLATFORM_PATH } from './mint/hang-up.ts';
import { MINT_PATH, mintRoutes, refusePage } from './mint/routes.ts';
import { Health, KeySet, Readiness } from './mint/schemas.ts';
import { createWsUrl } from './mint/ws-url.ts';
import { CONNECT_PATH } from './protocol/codes.ts';
import { operation } from './reference/operations.ts';
import { serveReference } from './reference/routes.ts';
import { newRequestId } from './telemetry/request-id.ts';

const MAX_BODY_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
/** A whole request, its body included, must have arrived by then. */
const REQUEST_TIMEOUT_MS = 10_000;
/** How often Node looks for requests that are past their time; 30 s by default. */
const TIMEOUT_CHECK_MS = 500;
/** Longer than the proxies in front keep theirs (nginx 60 s), so that it is them who close, and no request is lost. */
const KEEP_ALIVE_MS = 72_000;

export interface ApiDeps extends Omit<MintDeps, 'wsUrl'> {
  log: FastifyBaseLogger;
  /** Where sessions can be ended by voice agents; undefined where there are none. */
  hangUp?: HangUpDeps['hangUp'];
  /** Makes its server. */
  servers?: HttpServers;
  /** The key with which the demo mints for its own page; undefined outside the demo. */
  demoKey: string | undefined;
  /** The public signing keys, as a JWK set (RFC 7517 section 5). */
  jwks: () => { keys: readonly object[] };
  readiness: () => Readonly<Record<string, boolean>>;
  /** The parts of the store that calls cannot use. */
  shardsAway?: (() => readonly string[]) | undefined;
}

type StatusDeps = Pick<ApiDeps, 'jwks' | 'readiness' | 'shardsAway'>;

/**
 * The HTTP API: minting for backends, health, the signing keys, and in the demo minting for its page. Not listening
 * yet; its `server` also carries the WebSockets.
 */
export function createApi({ log, demoKey, jwks, readiness, shardsAway, hangUp, ...parts }: ApiDeps): FastifyInstance {
  const { http, admission } = parts.config;
  const servers = parts.servers ?? new HttpServers(parts.config, log);
  const app = fastify({
    loggerInstance: log,
    logController: new RequestLog({ requestIdLogLabel: 'request_id' }),
    genReqId: newRequestId,
    bodyLimit: MAX_BODY_BYTES,
    serverFactory: (handle) =>
      servers.create(
        {
          requestTimeout: Math.max(REQUEST_TIMEOUT_MS, admission.headers_timeout_ms),
          headersTimeout: admission.headers_timeout_ms,
          keepAliveTimeout: KEEP_ALIVE_MS,
          connectionsCheckingInterval: TIMEOUT_CHECK_MS,
          maxHeaderSize: MAX_HEADER_BYTES,
        },
        { handle, refuse: refuseRequest },
      ),
    routerOptions: { maxParamLength: MAX_HEADER_BYTES },
    clientErrorHandler: (error, socket) => refuseInTime(error, socket as Socket, servers.queue),
    // A path with a bad escape meets no route and so no hook, but pages are refused first of all here too.
    frameworkErrors: (error, request, reply) => void sendProblem(refusePage(request) ?? error, request, reply),
    // Fastify's own answer while closing is no problem document; what is being served is served to its end.
    return503OnClosing: false,
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.setValidatorCompiler(TypeBoxValidatorCompiler);
  app.removeAllContentTypeParsers();
  // CONNECT never reaches a route; all others are told what a path takes.
  const known = new Set(['CONNECT', ...app.supportedMethods]);
  for (const method of METHODS) if (!known.has(method)) app.addHttpMethod(method);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) => sendProblem({ statusCode: 404 }, request, reply));

  serveReference(app, http.public_url);
  const deps: MintDeps = { ...parts, wsUrl: createWsUrl(http) };
  app.register(mintRoutes, { prefix: MINT_PATH, ...deps });
  if (hangUp !== undefined) app.register(hangUpRoute, { prefix: PLATFORM_PATH, ...deps, hangUp });
  if (demoKey !== undefined) app.register(demoRoutes, { prefix: '/demo', ...deps, apiKey: demoKey });
  app.register(async (scope) => statusRoutes(scope, { jwks, readiness, shardsAway }));
  return app;
}

/** Fastify hands all options on to Node's `listen`, those too that its types do not name. */
export async function listen(app: FastifyInstance, { host, port, reuse_port }: Config['http']): Promise<void> {
  const options = { host, port, reusePort: reuse_port };
  await app.listen(options).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOTSUP') throw cause;
    throw new Error(`this system cannot share a port, leave http.reuse_port out (${cause.message})`, { cause });
  });
}

/** How long a stop waits for requests; the store answers or refuses within 2 s. */
const REQUESTS_AT_STOP_MS = 2500;

/** Requests are served to their end; who has not even sent one by then is cut off, as Node no longer does while closing. */
export async function closeApi(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), REQUESTS_AT_STOP_MS);
  await app.close();
  clearTimeout(timer);
}

/** What came in time while this process was stopped is read before anybody is told to have been too slow. */
function refuseInTime(error: NodeJS.ErrnoException, socket: Socket, queue: RequestQueue): void {
  const before = queue.requests(socket);
  const refuse = () => {
    if (queue.requests(socket) === before && !queue.stop(socket)) refuseConnection(error, socket);
  };
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') setImmediate(refuse);
  else refuse();
}

const UPGRADE_REQUIRED =
  'This request asked for no WebSocket. A proxy in front must speak HTTP/1.1 to this server and hand on Upgrade and ' +
  'Connection; nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";';

function statusRoutes(app: FastifyInstance, { jwks, readiness, shardsAway = () => [] }: StatusDeps): void {
  app.get('/healthz', { schema: { ...operation('health'), response: { 200: Health } } }, async () => ({
    status: 'live',
  }));
  const readySchema = { ...operation('readiness'), response: { 200: Readiness, 503: Readiness } };
  app.get('/readyz', { schema: readySchema }, async (_request, reply) => {
    const checks = readiness();
    const isReady = Object.values(checks).every((check) => check);
    const shards = shardsAway();
    return reply.code(isReady ? 200 : 503).send({
      status: isReady ? 'ready' : 'not_ready',
      checks,
      ...(shards.length > 0 && { shards_away: [...shards] }),
    });
  });
  const keySchema = { ...operation('signingKeys'), response: { 200: KeySet } };
  app.get('/.well-known/jwks.json', { schema: keySchema }, async (_request, reply) => {
    reply.type('application/jwk-set+json').header('cache-control', 'public, max-age=300');
    return reply.send(toBytes(jwks()));
  });
  app.get(CONNECT_PATH, async () => {
    throw new CallgateError('upgrade_required', { message: UPGRADE_REQUIRED });
  });
  for (const url of [CONNECT_PATH, '/healthz', '/readyz', '/.well-known/jwks.json']) onlyAllow(app, url, ['GET']);
}

/** One line a request, for debugging: routes instead of URLs, because a URL may hold what somebody pasted there. */
class RequestLog extends LogController {
  override incomingRequest(): void {}

  override requestCompleted(error: Error | null | undefined, request: FastifyRequest, reply: FastifyReply): void {
    const { method, url: route } = request.routeOptions;
    request.log.debug(
      { method, route, status: reply.statusCode, ms: reply.elapsedTime, ...(error && { err: error }) },
      'request',
    );
  }

  override routeNotFound(): void {}
}

import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { createApi } from './api.ts';
import type { Config } from './config/config.ts';
import { servePage } from './demo/page.ts';
import { endsSessions } from './directory/callability.ts';
import { openDirectory } from './directory/open.ts';
import { Admission } from './gateway/admission.ts';
import { Gateway } from './gateway/gateway.ts';
import { HttpServers } from './http/servers.ts';
import { openMedia } from './media/open.ts';
import { createApiKey } from './mint/api-keys.ts';
import { startMetricsServer } from './operator/metrics-server.ts';
import { type RedisSource, readRedisAccess } from './redis/access.ts';
import { checkEntry } from './redis/entry.ts';
import { Finisher } from './session/finisher.ts';
import { sessionMaker } from './session/maker.ts';
import { SessionRegistry } from './session/registry.ts';
import { TaskQueue } from './session/task-queue.ts';
import { MemoryTokenStore } from './store/memory-store.ts';
import { RedisTokenStore } from './store/redis-store.ts';
import type { TokenStore } from './store/store.ts';
import { Audit } from './telemetry/audit.ts';
import { DescriptorWatch } from './telemetry/descriptors.ts';
import { Metrics } from './telemetry/metrics.ts';
import { TraceFile } from './telemetry/trace-file.ts';
import { newTokenId } from './tokens/ids.ts';
import { Issuers } from './tokens/issuers/issuers.ts';
import { ephemeralSigningKeys, loadSigningKeys, publicKeySet } from './tokens/keys.ts';
import { createSigner } from './tokens/signer.ts';
import { claimedId, createVerifier } from './tokens/verifier.ts';

export interface ServerOptions {
  config: Config;
  demo: boolean;
  log: Logger;
  /** Lines that the log could not take since the start. */
  droppedLogLines?: () => number;
}

export interface RunningServer {
  /** http:// address of the API, the WebSocket and the page. */
  readonly url: string;
  readonly metricsUrl: string;
  /** The API key that the demo made; undefined elsewhere. */
  readonly demoKey: string | undefined;
  /** Reads again what the operator may have changed, without dropping a call. */
  reload(): Promise<void>;
  /** What is held at this moment. */
  held(): { sessions: number; sockets: number; calls: number };
  /** Ends all sessions and frees everything; resolves when nothing is left. */
  close(): Promise<void>;
}

/**
 * A foreign token issued in the second in which the store began is refused, because `iat` tells no more than the second.
 * A server that is up takes all that are issued from then on.
 */
const nextSecond = (now: number): Promise<void> => sleep(1000 - (now % 1000));

/** How long a stop waits for ends that the store has not taken yet. */
const FINISH_AT_STOP_MS = 3000;

/** How long it waits for HTTP requests; the store answers or refuses within 2 s. */
const REQUESTS_AT_STOP_MS = 2500;

/** Wires the parts together and starts them; what was started is stopped again when a later part fails. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const owned = new AsyncDisposableStack();
  try {
    return await assemble(options, owned);
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

async function assemble(
  { config, demo, log, droppedLogLines = () => 0 }: ServerOptions,
  owned: AsyncDisposableStack,
): Promise<RunningServer> {
  const demoKey = demo ? createApiKey('demo') : undefined;
  const descriptors = new DescriptorWatch(log);
  owned.defer(() => descriptors.close());
  const redis = config.redis_url === undefined ? undefined : readRedisAccess(config.redis_url, config.redis);
  if (redis) await checkEntry(redis);
  const directory = openDirectory(config, redis, log, demoKey?.sha256);
  owned.defer(() => directory.close());
  const keys = await openKeys(config, log);
  const audit = new Audit({
    log,
    redis,
    maxLength: config.audit.stream_max_length,
    onDropped: () => metrics.auditDropped(),
    onLeftOut: () => metrics.auditLeftOut(),
  });
  owned.defer(() => audit.close());
  const trace =
    config.trace === undefined
      ? undefined
      : await TraceFile.open(config.trace, { log, onDropped: (lines) => metrics.traceDropped(lines) });
  owned.defer(() => trace?.close());
  const store = openStore(config, redis, log);
  owned.defer(() => store.close());
  const finisher = new Finisher(store, log);
  owned.defer(async () => {
    await finisher.idle(FINISH_AT_STOP_MS);
    finisher.close();
  });
  const { pool, media } = await openMedia(config, log);
  owned.defer(() => media.close());

  // A file is there from the start; what is published to a Redis may not be.
  const published = () => (config.tenants === undefined ? { directory: directory.ready } : {});
  const readiness = () => ({ store: store.ready, media: media.ready, ...published() });
  const servers = new HttpServers(config);
  const app = createApi({
    config,
    servers,
    demoKey: demoKey?.key,
    directory,
    store,
    sign: createSigner(keys, config.tokens.issuer),
    newTokenId: (family) => newTokenIdFor(store, family),
    jwks: () => publicKeySet(keys),
    readiness,
    shardsAway: () => store.away,
    audit: audit.record,
    log,
  });
  owned.defer(() => closeApi(app));
  const tasks = new TaskQueue();
  const registry = new SessionRegistry({
    tasks,
    store,
    log,
    renewEveryMs: config.session.lease_renew_ms,
    isClosed: (endpoint) => endsSessions(directory.current, endpoint),
  });
  const metrics: Metrics = new Metrics({
    sessions: () => registry.size,
    sockets: () => gateway.sockets,
    calls: () => pool.calls,
    storeReady: () => store.ready,
    mediaReady: () => media.ready,
    droppedLogLines,
    shardsAway: () => store.away.length,
    clockSkewMs: () => store.clockSkewMs,
  });
  owned.defer(() => metrics.close());
  const leewaySeconds = config.tokens.leeway_seconds;
  const issuers = new Issuers(config.issuers, { leewaySeconds, log });
  owned.defer(() => issuers.close());
  const verify = issuers.beside(createVerifier(keys, { issuer: config.tokens.issuer, leewaySeconds }));
  const admission = new Admission({
    directory,
    store,
    media,
    verify: (token) =>
      verify(
        token,
        store.now(() => claimedId(token)),
      ),
  });
  const createSession = sessionMaker({
    tasks,
    settings: config.session,
    finish: (end) => finisher.finish(end),
    media,
    store,
    log,
    registry,
    metrics,
    audit,
    trace,
  });
  const gateway: Gateway = new Gateway({
    config,
    log,
    connections: servers.connections,
    admit: (start, origin, watch) => admission.admit(start, origin, watch),
    createSession,
    onRefused: (code, about) => {
      metrics.started(code);
      audit.record({ event: 'refusal', ...about, code });
    },
  });
  const endSessions = () => {
    pool.retire();
    gateway.close();
    return registry.close('server_shutdown');
  };
  owned.defer(endSessions);
  app.server.on('upgrade', (request, socket, head) => gateway.upgrade(request, socket, head));
  if (!(await servePage(app))) log.warn('the page was not built; everything else works');

  await directory.follow((outcome) => {
    metrics.directoryRead(outcome);
    registry.endClosed();
  });
  void issuers.reload();
  if (config.issuers.length > 0) await nextSecond(store.now());
  await listen(app, config);
  const { address, port, family } = app.server.address() as AddressInfo;
  const metricsServer = await startMetricsServer(metrics, {
    host: config.http.metrics_host,
    ports: metricsPorts(config, port),
    servers,
  });
  owned.defer(() => metricsServer.close());
  const host = family === 'IPv6' ? `[${address}]` : address;
  const url = `http://${host}:${port}`;
  log.info({ url, metrics: metricsServer.url, workers: pool.workers.length, demo }, 'callgate is up');
  return {
    url,
    metricsUrl: metricsServer.url,
    demoKey: demoKey?.key,
    reload: async () => {
      trace?.reopen();
      await Promise.all([directory.reload(), issuers.reload()]);
    },
    held: () => ({ sessions: registry.size, sockets: gateway.sockets, calls: pool.calls }),
    close: async () => {
      // The others on the port get all connections from now on.
      if (config.http.reuse_port) app.server.close();
      // Before anything else is waited for: the workers end of the same signal when it went to the process group.
      await endSessions();
      await owned.disposeAsync();
    },
  };
}

/** Fastify hands all options on to Node's `listen`, those too that its types do not name. */
async function listen(app: FastifyInstance, { http }: Config): Promise<void> {
  const options = { host: http.host, port: http.port, reusePort: http.reuse_port };
  await app.listen(options).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOTSUP') throw cause;
    throw new Error(`this system cannot share a port, leave http.reuse_port out (${cause.message})`, { cause });
  });
}

/** Requests are served to their end; who has not even sent one by then is cut off, as Node no longer does while closing. */
async function closeApi(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), REQUESTS_AT_STOP_MS);
  await app.close();
  clearTimeout(timer);
}

async function openKeys(config: Config, log: Logger) {
  if (config.tokens.signing_keys) return loadSigningKeys(config.tokens.signing_keys);
  log.warn('no signing keys are configured: made one for this run, tokens end with the process');
  return ephemeralSigningKeys();
}

/** So many ids are tried before one is taken whose record lies where the store cannot be reached. */
const MAX_TRIES = 100;

/** A fresh id; where the choice of a family is free, one of a part of the store that is there. */
function newTokenIdFor(store: TokenStore, family?: string): string {
  let id = newTokenId(family);
  if (family !== undefined || store.away.length === 0) return id;
  for (let tries = 1; store.isAway(id) && tries < MAX_TRIES; tries++) id = newTokenId();
  return id;
}

function openStore(config: Config, redis: RedisSource | undefined, log: Logger): TokenStore {
  if (redis) return new RedisTokenStore(redis, { log, fences: config.issuers.length > 0 });
  log.info('no Redis is configured: tokens are kept in memory, for this process alone');
  return new MemoryTokenStore();
}

/** PORT + 1, or else any free one, so that two processes that differ in PORT alone run side by side. */
const metricsPorts = ({ http }: Config, port: number): number[] =>
  http.metrics_port === undefined ? [...(port < 65_535 ? [port + 1] : []), 0] : [http.metrics_port];

import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { closeApi, createApi, listen } from './api.ts';
import { APPLICATION_TOKEN_TYPE, Applications } from './application/applications.ts';
import { Cluster } from './cluster/cluster.ts';
import { newNodeId } from './cluster/node-id.ts';
import type { Config } from './config/config.ts';
import { servePage } from './demo/page.ts';
import type { LiveDirectory } from './directory/live.ts';
import { openDirectory } from './directory/open.ts';
import { Admission } from './gateway/admission.ts';
import { Gateway } from './gateway/gateway.ts';
import { HttpServers } from './http/servers.ts';
import { type OpenMedia, openMedia } from './media/open.ts';
import { createApiKey } from './mint/api-keys.ts';
import { freshTokenId } from './mint/token-ids.ts';
import { metricsPorts, startMetricsServer } from './operator/metrics-server.ts';
import { type RedisSource, readRedisAccess } from './redis/access.ts';
import { checkAccess } from './redis/check-access.ts';
import { Adoption } from './session/adoption.ts';
import type { OpenRequest } from './session/client.ts';
import { Finisher } from './session/finisher.ts';
import { hangUp } from './session/hang-up.ts';
import { LocalSessions } from './session/local-sessions.ts';
import { SessionMaker } from './session/maker.ts';
import { Opening } from './session/opening.ts';
import type { Liveness } from './session/others.ts';
import { SessionRegistry } from './session/registry.ts';
import { TaskQueue } from './session/task-queue.ts';
import { openStore } from './store/open.ts';
import type { TokenStore } from './store/store.ts';
import { Audit } from './telemetry/audit.ts';
import { CallEvents } from './telemetry/call-events.ts';
import { DescriptorWatch } from './telemetry/descriptors.ts';
import { Metrics } from './telemetry/metrics.ts';
import { TraceFile } from './telemetry/trace-file.ts';
import { Issuers } from './tokens/issuers/issuers.ts';
import { openSigningKeys, publicKeySet, type SigningKeys } from './tokens/keys.ts';
import { createSigner, signerOf } from './tokens/signer.ts';
import { createVerifier } from './tokens/verifier.ts';

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

/** Makes the parts, joins them and starts them; what was started is stopped again when a later part fails. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const owned = new AsyncDisposableStack();
  try {
    return await assemble(options, owned);
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

/** What every part is made of. */
interface Base {
  /** The id of this process. */
  node: string;
  config: Config;
  log: Logger;
  redis: RedisSource | undefined;
  /** Stops what was made, the last first. */
  owned: AsyncDisposableStack;
}

async function assemble(options: ServerOptions, owned: AsyncDisposableStack): Promise<RunningServer> {
  const { config, demo, log, droppedLogLines = () => 0 } = options;
  const demoKey = demo ? createApiKey('demo') : undefined;
  const descriptors = new DescriptorWatch(log);
  owned.defer(() => descriptors.close());
  const redis = config.redis_url === undefined ? undefined : readRedisAccess(config.redis_url, config.redis);
  if (redis) await checkAccess(redis);
  const base = { node: newNodeId(), config, log, redis, owned };
  const directory = openDirectory(config, redis, log, demoKey?.sha256);
  owned.defer(() => directory.close());
  const keys = await openSigningKeys(config.tokens.signing_keys, log);
  const telemetry = await openTelemetry(base);
  const storage = openStorage(base);
  const media = await openMedia(config, log);
  owned.defer(() => media.media.close());
  const cluster = openCluster(base, media);
  const parts = { directory, keys, telemetry, ...storage, ...media, cluster };
  const sessions = openSessions(base, parts);
  const joined = cluster?.join(sessions);
  const http = openHttp(base, { ...parts, ...sessions }, demoKey?.key);
  const gate = openGate(base, { ...parts, ...sessions }, http);
  const held = () => ({ sessions: gate.registry.size, sockets: gate.gateway.sockets, calls: media.pool.calls });
  const links = () => cluster?.held ?? { up: 0, streams: 0 };
  const watched = { store: storage.store, media: media.media, held, droppedLogLines, links };
  watch(telemetry.metrics, watched);
  if (!(await servePage(http.app))) log.warn('the page was not built; everything else works');

  await directory.follow((outcome) => {
    telemetry.metrics.directoryRead(outcome);
    gate.registry.endClosed();
  });
  void gate.issuers.reload();
  if (config.issuers.length > 0) await nextSecond(storage.store.now());
  // Before a client comes: the others may be asked about its session at once.
  await joined;
  await listen(http.app, config.http);
  const addresses = await openMetricsServer(base, telemetry.metrics, http);
  log.info(
    { url: addresses.url, metrics: addresses.metricsUrl, workers: media.pool.workers.length, demo },
    'callgate is up',
  );
  return {
    ...addresses,
    demoKey: demoKey?.key,
    reload: async () => {
      telemetry.trace?.reopen();
      await Promise.all([directory.reload(), gate.issuers.reload()]);
    },
    held,
    close: async () => {
      // The others on the port get all connections from now on.
      if (config.http.reuse_port) http.app.server.close();
      // Before anything else is waited for: the workers end of the same signal when it went to the process group.
      await gate.endSessions();
      await owned.disposeAsync();
    },
  };
}

interface Telemetry {
  metrics: Metrics;
  audit: Audit;
  trace: TraceFile | undefined;
}

async function openTelemetry({ config, log, redis, owned }: Base): Promise<Telemetry> {
  const metrics = new Metrics();
  owned.defer(() => metrics.close());
  const audit = new Audit({ log, redis, maxLength: config.audit.stream_max_length, losses: metrics });
  owned.defer(() => audit.close());
  const trace = config.trace === undefined ? undefined : await TraceFile.open(config.trace, { log, losses: metrics });
  owned.defer(() => trace?.close());
  return { metrics, audit, trace };
}

interface Storage {
  store: ReturnType<typeof openStore>;
  finisher: Finisher;
}

function openStorage({ config, log, redis, owned }: Base): Storage {
  const store = openStore(redis, { fences: config.issuers.length > 0, log });
  owned.defer(() => store.close());
  const finisher = new Finisher(store, log);
  owned.defer(async () => {
    await finisher.idle(FINISH_AT_STOP_MS);
    finisher.close();
  });
  return { store, finisher };
}

/** What the sides that clients and backends see are made of. */
interface Parts extends Storage, OpenMedia {
  directory: LiveDirectory;
  keys: SigningKeys;
  telemetry: Telemetry;
  /** The other processes on the Redis; without one there are none. */
  cluster: Cluster | undefined;
}

/** This process among the others on its Redis, where there is one. */
function openCluster({ node, config, log, redis, owned }: Base, { pool, media }: OpenMedia): Cluster | undefined {
  if (redis === undefined) return undefined;
  const isOpen = (endpointId: string) => media.hasRoom(endpointId);
  const cluster = new Cluster({ id: node, config, redis, media: pool, log, isOpen });
  owned.defer(() => cluster.close());
  return cluster;
}

interface HttpSide {
  servers: HttpServers;
  app: FastifyInstance;
}

/** The API for backends and operators; not listening yet. */
function openHttp({ config, log, owned }: Base, parts: Parts & SessionSide, demoKey: string | undefined): HttpSide {
  const { directory, keys, store, media, telemetry, registry } = parts;
  // A file is there from the start; what is published to a Redis may not be.
  const published = () => (config.tenants === undefined ? { directory: directory.ready } : {});
  const servers = new HttpServers(config, log);
  const app = createApi({
    config,
    servers,
    demoKey,
    directory,
    store,
    sign: createSigner(keys, config.tokens.issuer),
    newTokenId: (family) => freshTokenId(store, family),
    jwks: () => publicKeySet(keys),
    readiness: () => ({ store: store.ready, media: media.ready, ...published() }),
    shardsAway: () => store.away,
    hangUp: (sessionId, team) => hangUp({ registry, store }, sessionId, team),
    audit: telemetry.audit.record,
    log,
  });
  owned.defer(() => closeApi(app));
  return { servers, app };
}

interface GateSide {
  registry: SessionRegistry;
  issuers: Issuers;
  gateway: Gateway;
  /** Takes no client any more, and resolves when no session is left. Idempotent. */
  endSessions(): Promise<void>;
}

/** The sockets of clients, and the sessions behind them. */
function openGate(base: Base, parts: Parts & SessionSide, { servers, app }: HttpSide): GateSide {
  const { config, log, owned } = base;
  const { directory, keys, store, pool, events, sessions, registry, cluster } = parts;
  const { issuer, leeway_seconds: leewaySeconds } = config.tokens;
  const issuers = new Issuers(config.issuers, { leewaySeconds, log });
  owned.defer(() => issuers.close());
  const verify = issuers.beside(createVerifier(keys, { issuer, leewaySeconds }));
  const anywhere = ({ endpointId }: OpenRequest) => directory.current.endpoint(endpointId)?.target.kind !== 'room';
  const gateway = new Gateway({
    config,
    log,
    connections: servers.connections,
    admission: new Admission({ directory, store, verify }),
    sessions: cluster?.route(sessions, anywhere) ?? sessions,
    events,
  });
  const endSessions = () => {
    pool.retire();
    gateway.close();
    cluster?.closeLinks();
    return registry.close('server_shutdown');
  };
  owned.defer(endSessions);
  app.server.on('upgrade', (request, socket, head) => gateway.upgrade(request, socket, head));
  return { registry, issuers, gateway, endSessions };
}

interface SessionSide {
  events: CallEvents;
  registry: SessionRegistry;
  /** Those of this process. */
  sessions: LocalSessions;
  /** Gives up the sessions of an endpoint, whose room is at another process as well. */
  giveUp(endpointId: string): void;
}

/** The sessions of this process, and the applications that answer them. */
function openSessions({ node, config, log }: Base, parts: Parts): SessionSide {
  const { directory, keys, store, finisher, media, telemetry, cluster } = parts;
  const { metrics, audit, trace } = telemetry;
  const events = new CallEvents(metrics, audit);
  const settings = config.session;
  const tasks = new TaskQueue();
  const registry = new SessionRegistry({ tasks, store, log, renewEveryMs: settings.lease_renew_ms, directory });
  const applications = new Applications({
    log,
    issuer: config.tokens.issuer,
    sign: signerOf(keys, APPLICATION_TOKEN_TYPE),
    plainText: config.applications.plain_text,
  });
  const deps = { tasks, settings, finisher, media, store, applications, log };
  const maker = new SessionMaker({ ...deps, registry, events, trace });
  const rooms = cluster?.rooms ?? { holder: async () => node };
  const liveness: Liveness = cluster ?? { isDead: () => false };
  const opening = new Opening({ node, directory, store, media, rooms });
  const adoption = new Adoption({ node, directory, store, media, liveness, rooms, maker, finisher, events });
  const sessions = new LocalSessions({ node, opening, adoption, maker, registry });
  return { events, registry, sessions, giveUp: (endpointId) => registry.giveUp(endpointId) };
}

interface Watched {
  store: TokenStore;
  media: OpenMedia['media'];
  held: RunningServer['held'];
  droppedLogLines: () => number;
  links(): { up: number; streams: number };
}

/** What the metrics read at the moment of a scrape. */
function watch(metrics: Metrics, { store, media, held, droppedLogLines, links }: Watched): void {
  metrics.watch({
    held,
    links,
    storeReady: () => store.ready,
    mediaReady: () => media.ready,
    droppedLogLines,
    shardsAway: () => store.away.length,
    clockSkewMs: () => store.clockSkewMs,
  });
}

/** Beside the API, which listens; answers where both are. */
async function openMetricsServer({ config, owned }: Base, metrics: Metrics, { servers, app }: HttpSide) {
  const { address, port, family } = app.server.address() as AddressInfo;
  const { metrics_host: host, metrics_port } = config.http;
  const metricsServer = await startMetricsServer(metrics, { host, ports: metricsPorts(metrics_port, port), servers });
  owned.defer(() => metricsServer.close());
  const shown = family === 'IPv6' ? `[${address}]` : address;
  return { url: `http://${shown}:${port}`, metricsUrl: metricsServer.url };
}

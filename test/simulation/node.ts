import type { Logger } from 'pino';
import type { Config } from '../../src/config/config.ts';
import type { Directory, Endpoint } from '../../src/directory/directory.ts';
import { Admission } from '../../src/gateway/admission.ts';
import { Connection } from '../../src/gateway/connection.ts';
import { Adoption } from '../../src/session/adoption.ts';
import { Finisher } from '../../src/session/finisher.ts';
import { LocalSessions } from '../../src/session/local-sessions.ts';
import { SessionMaker } from '../../src/session/maker.ts';
import { Opening } from '../../src/session/opening.ts';
import { SessionRegistry } from '../../src/session/registry.ts';
import { TaskQueue } from '../../src/session/task-queue.ts';
import type { CallEvents } from '../../src/telemetry/call-events.ts';
import type { Owner, VirtualClock } from './clock.ts';
import type { VirtualMedia } from './media.ts';
import type { RemoteStore } from './remote-store.ts';
import type { VirtualSocket } from './socket.ts';

export const ENDPOINT: Endpoint = {
  id: 'ep_a',
  team: 'team_a',
  flow: 'flow_a',
  webrtc: true,
  enabled: true,
  target: { kind: 'echo' },
  media: { audio: true, video: true, simulcast: false },
  maxSessions: 100,
  maxDurationSeconds: 300,
  allowedOrigins: ['*'],
};

const DIRECTORY = {
  team: () => ({ id: 'team_a', webrtc: true, mintRate: { limit: 1000, windowSeconds: 1 } }),
  flow: () => ({ state: 'live', endSessions: false }),
  endpoint: (id: string) => (id === ENDPOINT.id ? ENDPOINT : undefined),
} as unknown as Directory;

export const SESSION_SETTINGS = {
  answer_timeout_ms: 15_000,
  connect_timeout_ms: 30_000,
  reoffer_timeout_ms: 15_000,
  unreachable_timeout_ms: 30_000,
  finish_wait_ms: 1000,
  grace_ms: 30_000,
  lease_renew_ms: 10_000,
} as Config['session'];

const ADMISSION_SETTINGS = {
  messages_per_second: 100,
  start_timeout_ms: 10_000,
  max_buffered_bytes: 1_000_000,
} as Config['admission'];

export interface NodeOptions {
  id: string;
  clock: VirtualClock;
  store: RemoteStore;
  media: VirtualMedia;
  owner: Owner;
  isDead(node: string): boolean;
  /** A defect told itself. */
  defect(what: string): void;
  audited(event: string, about: Record<string, unknown>): void;
}

/** One process: everything between its sockets, its workers and the store is the real thing. */
export class VirtualNode {
  readonly id: string;
  readonly owner: Owner;
  readonly store: RemoteStore;
  readonly media: VirtualMedia;
  readonly registry: SessionRegistry;
  readonly finisher: Finisher;
  readonly sockets = new Set<VirtualSocket>();
  readonly #connect: (socket: VirtualSocket) => void;
  /** When it was frozen or cut off from the others. */
  silentSince: number | undefined;

  constructor({ id, clock, store, media, owner, isDead, defect, audited }: NodeOptions) {
    this.id = id;
    this.owner = owner;
    this.store = store;
    this.media = media;
    const log = logOf(defect);
    const tokens = store.asTokenStore;
    const directory = { current: DIRECTORY };
    const tasks = new TaskQueue();
    const events = eventsOf(audited);
    this.finisher = new Finisher(tokens, log);
    const { finisher } = this;
    const renewEveryMs = SESSION_SETTINGS.lease_renew_ms;
    this.registry = clock.as(owner, () => new SessionRegistry({ tasks, store: tokens, log, renewEveryMs, directory }));
    const { registry } = this;
    const maker = new SessionMaker({
      settings: SESSION_SETTINGS,
      tasks,
      finisher,
      media,
      store: tokens,
      applications: {
        open: () => {
          throw new Error('no endpoint of a simulation leads to an application');
        },
      },
      log,
      registry,
      events,
      trace: undefined,
    });
    const liveness = { isDead };
    // Its one endpoint is no room.
    const others = { node: id, rooms: { holder: async () => id } };
    const opening = new Opening({ ...others, directory, store: tokens, media });
    const adoption = new Adoption({ ...others, directory, store: tokens, media, liveness, maker, finisher, events });
    const sessions = new LocalSessions({ node: id, opening, adoption, maker, registry });
    const admission = new Admission({
      directory,
      store: tokens,
      verify: async (token) => ({
        id: token,
        endpointId: ENDPOINT.id,
        team: 'team_a',
        iat: 0,
        exp: Number.MAX_SAFE_INTEGER,
      }),
    });
    const limits = { recordFailure: async () => true };
    const strangers = { remove: () => {} };
    const deps = { settings: ADMISSION_SETTINGS, log, admission, sessions, limits, strangers, events };
    const peer = { address: '192.0.2.1', key: undefined, loopback: true };
    this.#connect = (socket) => {
      const client = {
        peer,
        origin: undefined,
        stream: socket.stream,
        context: { request_id: 'r', peer: '192.0.2.1' },
      };
      new Connection(socket.asWebSocket, client, deps);
    };
  }

  accept(socket: VirtualSocket): void {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    this.#connect(socket);
  }
}

const logOf = (defect: (what: string) => void): Logger => {
  const log = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (fields: { err?: unknown }, message: string) => defect(`${message}: ${fields.err}`),
    child: () => log,
  };
  return log as unknown as Logger;
};

const eventsOf = (audited: NodeOptions['audited']): CallEvents =>
  ({
    refused: (code: string, about: object) => audited(`refused ${code}`, { ...about }),
    burned: (about: object) => audited('burned', { ...about }),
    resumed: (about: object) => audited('resumed', { ...about }),
    adopted: (about: object) => audited('adopted', { ...about }),
    rehomed: (about: object) => audited('rehomed', { ...about }),
    ended: (reason: string, about: object) => audited(`ended ${reason}`, { ...about }),
    live: () => {},
    left: () => {},
  }) as unknown as CallEvents;

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import type { RedisSource } from '../redis/access.ts';
import type { Sessions } from '../session/client.ts';
import type { Liveness } from '../session/others.ts';
import { Outage } from '../shared/outage.ts';
import { randomText } from '../shared/random.ts';
import type { Announcement } from './announcement.ts';
import { NodeBoard } from './board.ts';
import { VERSIONS } from './link/frames.ts';
import { LinkListener } from './link/listener.ts';
import type { LinkLog, LinkTls } from './link/terms.ts';
import { linkAddresses, readClusterSecret, readLinkTls } from './link-settings.ts';
import { Links } from './links.ts';
import { Nodes } from './nodes.ts';
import { RoomClaims, type RoomClaimsOptions } from './rooms.ts';
import { RoutedSessions, type RoutedSessionsOptions } from './routed-sessions.ts';

const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
const { version: VERSION } = JSON.parse(manifest) as { version: string };

/** How much media a process takes, and has. */
export interface Capacity {
  readonly capacity: number;
  readonly calls: number;
  /** How busy it is, 1 for fully. */
  readonly load: number;
}

/** The side of this process that the others see. */
export interface LocalSide {
  sessions: Sessions;
  /** Gives up the sessions of an endpoint, whose room is at another node as well. */
  giveUp(endpointId: string): void;
}

export interface ClusterOptions extends Pick<RoomClaimsOptions, 'isOpen'> {
  /** Id of this process. */
  id: string;
  config: Pick<Config, 'node' | 'roles' | 'cluster'>;
  redis: RedisSource;
  media: Capacity;
  log: LinkLog;
}

/** This process among those on its Redis: who else is there, the links between them, and who has which room. Owns all of that. */
export class Cluster implements Liveness {
  readonly rooms: RoomClaims;
  readonly #options: ClusterOptions;
  readonly #board: NodeBoard;
  readonly #nodes: Nodes;
  readonly #secret: string | undefined;
  readonly #tls: LinkTls | undefined;
  readonly #unlinked: Outage;
  #local: LocalSide | undefined;
  #links: Links | undefined;
  #listener: LinkListener | undefined;
  #linking: Promise<void> | undefined;

  /** @throws Error when a file of the links cannot be used, TypeError when the URL of the Redis is of no accepted form */
  constructor(options: ClusterOptions) {
    const { id, redis, log, isOpen } = options;
    this.#options = options;
    this.#secret = readClusterSecret(options.config.cluster);
    this.#tls = readLinkTls(options.config.cluster.tls);
    this.#unlinked = new Outage(log, 'this process is linked to the others');
    this.#board = new NodeBoard(redis, {
      // The token store tells of these.
      denied: () => undefined,
      failed: () => undefined,
      unreadable: (key, reason) => this.#nodes.unreadable(key, reason),
    });
    this.#nodes = new Nodes({ id, board: this.#board, announcement: () => this.#announcement(), log });
    const isDead = (node: string) => this.isDead(node);
    const handOver = (endpointId: string) => this.#local?.giveUp(endpointId);
    this.rooms = new RoomClaims({ node: id, board: this.#board, isDead, isOpen, handOver });
  }

  isDead(node: string): boolean {
    return (this.#links ?? this.#nodes).isDead(node);
  }

  /** Links that are up, and how many clients of this process are at other nodes. */
  get held(): { up: number; streams: number } {
    return this.#links?.held ?? { up: 0, streams: 0 };
  }

  /**
   * From now on the sessions of this process can be reached from the others, and those of the others from here. Waits up to 2 s
   * for a Redis that is away, and never rejects.
   */
  async join(local: LocalSide): Promise<void> {
    this.#local = local;
    this.#nodes.onLook(() => this.#link());
    await this.#nodes.open();
    await this.#linking;
  }

  /** The way to the sessions of all processes; `local` are those of this one. */
  route(local: Sessions, anywhere: RoutedSessionsOptions['anywhere']): Sessions {
    const links = { to: (node: string) => this.#links?.to(node), open: () => this.#links?.open ?? [] };
    return new RoutedSessions({ node: this.#options.id, local, links, anywhere });
  }

  /** Clients whose sessions are elsewhere are told to come back. */
  closeLinks(): void {
    this.#links?.close();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#linking;
    await this.#nodes.close();
    this.#links?.close();
    await this.#listener?.close();
    await this.rooms.close();
    this.#board.close();
  }

  /** With the first look at the others there is a Redis that knows the secret. */
  #link(): void {
    if (this.#listener) return;
    this.#linking ??= this.#open()
      .catch((err: unknown) => {
        this.#unlinked.began({ err }, 'this process cannot be linked to the others; trying again');
      })
      .then(() => {
        this.#linking = undefined;
      });
  }

  async #open(): Promise<void> {
    const { id, config, media, log } = this.#options;
    const { cluster } = config;
    const secret = this.#secret ?? (await this.#board.secret(randomText(32, 'base64url')));
    const tls = this.#tls;
    const { host, port } = linkAddresses(cluster).listen;
    const load = () => loadOf(media);
    const sessions = this.#local?.sessions;
    if (sessions === undefined) return;
    this.#listener = await LinkListener.open({ id, secret, host, port, tls, sessions, load, log });
    this.#links = new Links({ id, secret, tls, log, nodes: this.#nodes, boot: BOOT });
    this.#unlinked.ended();
  }

  #announcement(): Announcement {
    const { config, media } = this.#options;
    const { name = hostname(), region } = config.node;
    return {
      name,
      roles: config.roles,
      ...(region !== undefined && { region }),
      version: VERSION,
      protocol: VERSIONS[0] ?? 0,
      ...this.#reachedAt(),
      ...loadOf(media),
      draining: false,
    };
  }

  #reachedAt(): Pick<Announcement, 'link' | 'boot'> {
    if (!this.#listener) return {};
    const { announced, onMachine } = linkAddresses(this.#options.config.cluster);
    return { link: announced(this.#listener.port), ...(onMachine && { boot: BOOT }) };
  }
}

const loadOf = ({ capacity, calls, load }: Capacity) => ({ capacity, calls, load: Math.round(load * 1000) / 1000 });

/** Which boot of which machine this is (proc_sys_kernel(5)); where the system does not say, the name of the machine stands for it. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return hostname().slice(0, 64);
  }
}

const BOOT = bootId();

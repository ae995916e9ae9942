import { Link, type LinkOptions } from './link/link.ts';
import type { Nodes } from './nodes.ts';
import type { Sighted } from './sightings.ts';

export interface LinksOptions extends Pick<LinkOptions, 'id' | 'secret' | 'tls' | 'log'> {
  nodes: Pick<Nodes, 'all' | 'isDead' | 'onLook'>;
  /** Which boot of the machine this is: loopback addresses of another one lead elsewhere. */
  boot: string;
}

/** The links from this gateway to all other nodes that are there. Owns them. */
export class Links {
  readonly #options: LinksOptions;
  readonly #links = new Map<string, Link>();
  readonly #unlisten: () => void;

  constructor(options: LinksOptions) {
    this.#options = options;
    this.#unlisten = options.nodes.onLook(() => this.#look());
    this.#look();
  }

  /** The link to a node, if there is one that is up. */
  to(node: string): Link | undefined {
    const link = this.#links.get(node);
    return link?.load === undefined ? undefined : link;
  }

  /** How many are up, and how many clients they carry. */
  get held(): { up: number; streams: number } {
    const up = [...this.#links.values()].filter(({ load }) => load !== undefined);
    return { up: up.length, streams: up.reduce((sum, { streams }) => sum + streams, 0) };
  }

  /** Those that take new calls, the least busy first. */
  get open(): Link[] {
    const open = [...this.#links.values()].filter(({ busy }) => !busy);
    return open.sort((a, b) => (a.load?.load ?? 0) - (b.load?.load ?? 0));
  }

  /** A node with a link that is up is alive, whatever Redis shows, and one whose port refuses two dials in a row is not. */
  isDead(node: string): boolean {
    const link = this.#links.get(node);
    if (link?.load !== undefined) return false;
    return link?.refused === true || this.#options.nodes.isDead(node);
  }

  /** Ends all of them. Idempotent. */
  close(): void {
    this.#unlisten();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #look(): void {
    const { id, secret, tls, log, nodes } = this.#options;
    const there = new Map(nodes.all.map((sighted) => [sighted.id, sighted]));
    for (const [node, link] of this.#links) {
      // One that says nothing more may still be spoken with.
      if (there.get(node)?.link === link.address || link.load !== undefined) continue;
      link.close();
      this.#links.delete(node);
    }
    for (const [node, sighted] of there) {
      if (node === id || this.#links.has(node) || !this.#isReachable(sighted)) continue;
      this.#links.set(node, new Link({ id, node, address: sighted.link, secret, tls, log }));
    }
  }

  #isReachable(sighted: Sighted): sighted is Sighted & { link: string } {
    const { link, boot, dead } = sighted;
    if (link === undefined || dead) return false;
    return boot === undefined || boot === this.#options.boot;
  }
}

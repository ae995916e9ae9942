import type { Media } from '../peer/index.ts';
import { createPeer } from '../peer/index.ts';
import type { Packets, Peer } from '../peer/peer.ts';
import { Failure } from './failure.ts';

/** An old connection is kept until the new one is live, and at most so long. */
const KEPT_MS = 10_000;

/**
 * The media end of one client: its connection and, when the server offers a fresh one, those that follow. All show the one
 * certificate of their thread.
 */
export class Connections implements Peer {
  readonly #media: Media;
  readonly #connected = Promise.withResolvers<void>();
  readonly #firstPacket = Promise.withResolvers<void>();
  #current: Peer;
  #old: Peer[] = [];
  #over: Packets = { sent: 0, received: 0, lost: 0 };
  #keeping: NodeJS.Timeout | undefined;
  #since = performance.now();
  #stopped = false;

  /** @throws {Failure} `peer_failed` */
  static async open(media: Media): Promise<Connections> {
    return new Connections(media, await openPeer(media));
  }

  private constructor(media: Media, first: Peer) {
    this.#media = media;
    this.#current = this.#follow(first);
  }

  /** Resolves when the first of them is up. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  get firstPacket(): Promise<void> {
    return this.#firstPacket.promise;
  }

  get silentMs(): number {
    return Math.min(this.#current.silentMs, performance.now() - this.#since);
  }

  answer(offerSdp: string): Promise<string> {
    return this.#current.answer(offerSdp);
  }

  /** From now on a new connection answers; the one before goes on until `live`. @throws {Failure} `peer_failed` */
  async renew(): Promise<void> {
    const next = this.#follow(await openPeer(this.#media));
    this.#old.push(this.#current);
    this.#current = next;
    this.#since = performance.now();
    if (this.#stopped) next.stopSending();
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => void this.live(), KEPT_MS);
  }

  /** The newest connection is live: the others are done. */
  async live(): Promise<void> {
    clearTimeout(this.#keeping);
    await Promise.all(this.#old.splice(0).map((peer) => this.#finish(peer)));
  }

  packets(): Packets {
    return [...this.#old, this.#current].reduce((sum, peer) => added(sum, peer.packets()), this.#over);
  }

  stopSending(): void {
    this.#stopped = true;
    for (const peer of [...this.#old, this.#current]) peer.stopSending();
  }

  async close(): Promise<void> {
    await Promise.all([this.live(), this.#current.close()]);
  }

  #follow(peer: Peer): Peer {
    void peer.connected.then(this.#connected.resolve);
    void peer.firstPacket.then(this.#firstPacket.resolve);
    return peer;
  }

  #finish(peer: Peer): Promise<void> {
    this.#over = added(this.#over, peer.packets());
    return peer.close();
  }
}

const added = (a: Packets, b: Packets): Packets => ({
  sent: a.sent + b.sent,
  received: a.received + b.received,
  lost: a.lost + b.lost,
});

const openPeer = (media: Media): Promise<Peer> =>
  createPeer(media).catch(() => {
    throw new Failure('peer_failed');
  });

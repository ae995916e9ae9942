import type { ServerMessage, Track } from '../protocol/messages.ts';
import type { Deadlines } from './deadlines.ts';
import { FirstMedia } from './first-media.ts';
import { Participants } from './participants.ts';
import { Peer, type PeerListener, type PeerOptions } from './peer.ts';
import type { Kind } from './sdp.ts';

/** How long the connection before a fresh one is kept at most, in milliseconds. */
const KEPT_MS = 10_000;

/** How long whoever has not come back on a fresh connection is still shown, in milliseconds. */
const AWAITED_MS = 5000;

export interface ConnectionsListener extends PeerListener {
  /** Whether the caller sends this kind. */
  sends(kind: Kind): boolean;
  /** An answer for the server; said again where the server has not heard it. */
  answer(offerId: string, sdp: string): void;
  participants(): void;
  firstMedia(kind: Kind): void;
  failed(cause: unknown): void;
}

type Offer = ServerMessage & { type: 'offer' };

/** One connection for media: who is on which of its sections, and the offers that it answers one after the other. */
interface Link {
  peer: Promise<Peer>;
  /** Undefined until there is a certificate. */
  made?: Peer;
  tracks: readonly Track[];
  queue: Promise<void>;
}

/** The media of a call: one connection, or a fresh one beside the one that it replaces. */
export class Connections {
  readonly #options: PeerOptions;
  readonly #deadlines: Deadlines;
  readonly #listener: ConnectionsListener;
  readonly #participants = new Participants();
  readonly #firstMedia: FirstMedia;
  readonly #sent = new Map<Kind, MediaStreamTrack | null>();
  readonly #certificate: Promise<RTCCertificate | undefined>;
  /** Whose media is heard and seen. */
  #current: Link;
  /** A fresh one until it is live. */
  #next: Link | undefined;
  /** The offer that came last, and what was answered. */
  #last: { id: string; answer?: string } | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    options: PeerOptions,
    certificate: Promise<RTCCertificate | undefined>,
    deadlines: Deadlines,
    listener: ConnectionsListener,
  ) {
    this.#options = options;
    this.#certificate = certificate;
    this.#deadlines = deadlines;
    this.#listener = listener;
    this.#firstMedia = new FirstMedia((kind) => listener.firstMedia(kind));
    this.#current = this.#open();
  }

  get participants(): ReadonlyMap<string, MediaStream> {
    return this.#participants.present;
  }

  /** Whether ICE gets through on the connection whose media is heard and seen. */
  get reachable(): boolean {
    return this.#current.made?.reachable === true;
  }

  /** Answers an offer; a fresh one on a new connection. One that comes again is answered in the same words. */
  take({ offer_id: id, sdp, fresh }: Offer): void {
    if (id === this.#last?.id) return this.#answerAgain();
    const offer: { id: string; answer?: string } = { id };
    this.#last = offer;
    if (fresh) this.#replace();
    const link = this.#newest;
    link.queue = link.queue
      .then(() => this.#deadlines.during('answer', this.#answer(link, offer, sdp)))
      .catch((cause) => {
        if (this.#isUsed(link)) this.#listener.failed(cause);
      });
  }

  /** Takes the server's word on who is on which section of the newest connection. */
  assign(tracks: readonly Track[]): void {
    this.#newest.tracks = tracks;
    this.#arrange();
  }

  /** The newest connection is live: `done` when its media is what is heard and seen. */
  live(done: () => void): void {
    const next = this.#next;
    if (!next) return done();
    void next.queue.then(() => {
      if (this.#next === next) this.#swap();
      if (this.#newest === next) done();
    });
  }

  /** Sends this track from now on, or none. */
  async attach(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    this.#sent.set(kind, track);
    await Promise.all([this.#current, this.#next].map(async (link) => (await link?.peer)?.attach(kind, track)));
  }

  async getStats(): Promise<RTCStatsReport> {
    return (await this.#current.peer).getStats();
  }

  /** Bytes of media that came in so far; undefined where none is expected. */
  async received(): Promise<number | undefined> {
    const peer = this.#current.made;
    if (!peer?.incoming().length) return undefined;
    let bytes = 0;
    for (const report of (await peer.getStats()).values()) {
      if (report.type === 'inbound-rtp') bytes += report.bytesReceived ?? 0;
    }
    return bytes;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#patience);
    this.#firstMedia.close();
    close(this.#current);
    close(this.#next);
    this.#participants.forget();
    if (this.#participants.arrange([])) this.#listener.participants();
  }

  get #newest(): Link {
    return this.#next ?? this.#current;
  }

  #isUsed(link: Link): boolean {
    return !this.#closed && (link === this.#current || link === this.#next);
  }

  #open(): Link {
    const of = (told: () => void) => () => {
      if (!this.#closed && this.#newest === link) told();
    };
    const { connected, reachable, unreachable } = this.#listener;
    const listener = { connected: of(connected), reachable: of(reachable), unreachable: of(unreachable) };
    const link: Link = {
      tracks: [],
      queue: Promise.resolve(),
      peer: this.#certificate.then((certificate) => {
        const peer = new Peer(this.#options, certificate, listener);
        for (const [kind, track] of this.#sent) void peer.attach(kind, track);
        link.made = peer;
        return peer;
      }),
    };
    // Whoever waits for it is told.
    link.peer.catch(() => {});
    return link;
  }

  /** The connection before is kept: its media may still flow. */
  #replace(): void {
    close(this.#next);
    // Of an answer that nobody waits for any more.
    this.#deadlines.end('answer');
    this.#next = this.#open();
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#swap(), KEPT_MS);
  }

  /** The tracks of the fresh connection take the places of those before, in the same streams. */
  #swap(): void {
    if (!this.#next) return;
    const before = this.#current;
    this.#current = this.#next;
    this.#next = undefined;
    this.#participants.await();
    this.#arrange();
    close(before);
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => {
      this.#participants.forget();
      this.#arrange();
    }, AWAITED_MS);
  }

  async #answer(link: Link, offer: { id: string; answer?: string }, sdp: string): Promise<void> {
    const peer = await link.peer;
    if (!this.#isUsed(link)) return;
    const tell = (answer: string) => {
      if (!this.#isUsed(link)) return;
      offer.answer = answer;
      this.#listener.answer(offer.id, answer);
    };
    await peer.answer(sdp, (kind) => this.#listener.sends(kind), tell);
    this.#arrange();
  }

  #answerAgain(): void {
    if (this.#last?.answer !== undefined) this.#listener.answer(this.#last.id, this.#last.answer);
  }

  #arrange(): void {
    const { made, tracks } = this.#current;
    if (!made || this.#closed) return;
    const incoming = made.incoming();
    for (const { receiver } of incoming) this.#firstMedia.watch(receiver);
    if (this.#participants.arrange(incoming, tracks)) this.#listener.participants();
  }
}

function close(link: Link | undefined): void {
  if (link?.made) link.made.close();
  else
    link?.peer.then(
      (peer) => peer.close(),
      () => {},
    );
}

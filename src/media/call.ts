import type { DtlsState, IceState, MediaKind, Producer, WebRtcTransport } from 'mediasoup/types';
import type { MediaDirection, WantedMedia } from '../protocol/messages.ts';
import { type AnsweredSection, producerParameters } from '../sdp/answered-section.ts';
import { negotiationFailed } from '../sdp/failed.ts';
import type { NegotiatedAnswer, Negotiation } from '../sdp/negotiation.ts';
import type { CallListener, CallSpec, MediaCall, Offer } from './media.ts';
import type { Target, TargetCall } from './targets/target.ts';

export const KINDS: readonly MediaKind[] = ['audio', 'video'];

type EndReason = Parameters<CallListener['ended']>[0];

export interface CallParts {
  transport: WebRtcTransport;
  negotiation: Negotiation;
  /** What the offers say of the transport's server. */
  server: string;
  spec: CallSpec;
  listener: CallListener;
  makeTarget(call: TargetCall, wanted: Record<MediaKind, MediaDirection>): Target;
  /** Gives back what was held for the call; called once. */
  release(): void;
}

/** One call: a transport, its sections, and the target that they lead to. Whoever closes it closes all of that. */
export class Call implements MediaCall {
  readonly #transport: WebRtcTransport;
  readonly #negotiation: Negotiation;
  readonly #server: string;
  readonly #target: Target;
  readonly #listener: CallListener;
  readonly #allowed: CallSpec['endpoint']['media'];
  readonly #release: () => void;
  readonly #wanted: Record<MediaKind, MediaDirection>;
  readonly #producers = new Map<string, { producer: Producer; parameters: string }>();
  #started = false;
  #closed = false;
  /** An offer is due. */
  #due = false;
  #restartDue = false;
  /** An offer is being made, or an answer applied. */
  #busy = false;
  /** Pieces of work that the worker has not answered to the end. */
  #underWay = 0;
  #toldTracks: string | undefined;
  #iceUp = false;
  #reached = false;
  #dtlsUp = false;
  #connected = false;
  #unreachable = false;

  /** On a fresh transport, which it owns from now on. */
  constructor({ transport, negotiation, server, spec, listener, makeTarget, release }: CallParts) {
    this.#transport = transport;
    this.#negotiation = negotiation;
    this.#server = server;
    this.#listener = listener;
    this.#allowed = spec.endpoint.media;
    this.#release = release;
    this.#wanted = { audio: this.#limit('audio', spec.media.audio), video: this.#limit('video', spec.media.video) };
    const renegotiate = () => this.#renegotiate();
    this.#target = makeTarget({ transport, negotiation, renegotiate }, this.#wanted);
    this.#setOwnSections();
  }

  start(): void {
    this.#started = true;
    this.#listen();
    this.#due = true;
    this.#offerWhenDue();
  }

  async accept(offerId: string, sdp: string): Promise<string | undefined> {
    const answer = this.#closed ? undefined : this.#negotiation.answer(offerId, sdp);
    if (answer === undefined) return undefined;
    this.#busy = true;
    try {
      await this.#beforeClose(this.#apply(answer));
    } catch (cause) {
      // A transport that is gone took the call with it, whatever the answer was.
      if (!this.#closed && !this.#transport.closed) throw negotiationFailed('the answer cannot be used', cause);
    } finally {
      this.#busy = false;
    }
    this.#offerSoon();
    return answer.fingerprint;
  }

  change(media: WantedMedia): void {
    for (const kind of KINDS) if (media[kind] !== undefined) this.#wanted[kind] = this.#limit(kind, media[kind]);
    this.#setOwnSections();
    this.#renegotiate();
  }

  restart(): void {
    // mediasoup keeps one old credential: a second restart before the answer would lock the client out.
    if (this.#negotiation.restarting) return;
    this.#restartDue = true;
    this.#renegotiate();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#target.close();
    if (this.#underWay === 0) this.#transport.close();
    this.#producers.clear();
    this.#release();
  }

  /**
   * The transport is closed after what was asked of it: a producer that is still being made would outlive it in mediasoup's
   * books, and could only be closed at a worker that does not know it any more and warns of it.
   */
  async #beforeClose<T>(work: Promise<T>): Promise<T> {
    this.#underWay++;
    try {
      return await work;
    } finally {
      this.#underWay--;
      if (this.#closed && this.#underWay === 0) this.#transport.close();
    }
  }

  #end(reason: EndReason): void {
    if (this.#closed) return;
    this.close();
    this.#listener.ended(reason);
  }

  #lose(): void {
    if (this.#closed) return;
    this.close();
    this.#listener.lost();
  }

  #listen(): void {
    this.#transport.on('icestatechange', (state) => this.#iceChanged(state));
    this.#transport.on('dtlsstatechange', (state) => this.#dtlsChanged(state));
    // After our own close this finds the call closed. A turn later, because a stop whose signal went to the process group
    // may hear of its worker first, and has a reason of its own.
    this.#transport.observer.once('close', () => setImmediate(() => this.#lose()));
  }

  /** The states come from the events alone: mediasoup's own goes back to `connecting` after `failed` and `closed`. */
  #dtlsChanged(state: DtlsState): void {
    if (state === 'failed') this.#end('negotiation_failed');
    if (state === 'closed') this.#end('completed');
    if (state === 'connected') this.#dtlsUp = true;
    this.#tellConnected();
  }

  #iceChanged(state: IceState): void {
    if (this.#closed) return;
    this.#iceUp = state === 'connected' || state === 'completed';
    if (this.#iceUp) this.#reach();
    if (this.#iceUp === this.#unreachable) {
      this.#unreachable = !this.#iceUp;
      this.#listener.reachable(this.#iceUp);
    }
    this.#tellConnected();
  }

  #reach(): void {
    if (this.#reached) return;
    this.#reached = true;
    this.#beforeClose(this.#target.reached()).catch(() => {
      // A transport that is gone took the call with it.
      if (!this.#transport.closed) this.#end('negotiation_failed');
    });
  }

  #tellConnected(): void {
    if (this.#closed || this.#connected || !this.#iceUp || !this.#dtlsUp) return;
    this.#connected = true;
    this.#target.connected();
    this.#listener.connected();
  }

  #limit(kind: MediaKind, wanted: MediaDirection = 'sendrecv'): MediaDirection {
    return this.#allowed[kind] ? wanted : 'none';
  }

  #setOwnSections(): void {
    for (const kind of KINDS) {
      const direction = this.#target.direction(this.#wanted[kind]);
      if (direction !== undefined) this.#negotiation.own(kind, direction);
      else if (this.#negotiation.ownSection(kind)) this.#negotiation.own(kind, 'inactive');
    }
    // An offer without any section brings up no transport, and the client could never change its mind.
    if (KINDS.every((kind) => !this.#negotiation.ownSection(kind))) {
      this.#negotiation.own(this.#allowed.audio ? 'audio' : 'video', 'inactive');
    }
  }

  /** Closed, or about to hear that its worker is dead: everyone in a room seems to leave then, which nobody is to be told. */
  get #isGone(): boolean {
    return this.#closed || this.#transport.closed;
  }

  #renegotiate(): void {
    this.#due = true;
    this.#offerSoon();
  }

  /** Not at once: what changes in one go (one who leaves has two tracks) is one offer, and an answer is taken before it. */
  #offerSoon(): void {
    queueMicrotask(() => this.#offerWhenDue());
  }

  #offerWhenDue(): void {
    if (!this.#due || this.#busy || this.#isGone || this.#negotiation.outstanding || !this.#started) return;
    this.#busy = true;
    this.#beforeClose(this.#makeOffer()).then(
      (offer) => {
        this.#busy = false;
        if (!this.#isGone) this.#listener.offer(offer);
      },
      () => this.#lose(),
    );
  }

  async #makeOffer(): Promise<Offer> {
    this.#due = false;
    await this.#target.prepare();
    const restart = this.#restartDue;
    if (restart) await this.#transport.restartIce();
    this.#restartDue = false;
    const { iceParameters } = this.#transport;
    const offer = this.#negotiation.offer({ iceParameters, server: this.#server }, restart);
    const tracks = this.#target.tracks();
    const told = JSON.stringify(tracks);
    if (tracks === undefined || told === this.#toldTracks) return offer;
    this.#toldTracks = told;
    return { ...offer, tracks };
  }

  /** Nothing here waits for the worker before everything has been sent to it, nor ends before all of it is done. */
  async #apply({ dtls, sections }: NegotiatedAnswer): Promise<void> {
    const outcomes = await Promise.allSettled([
      dtls && this.#transport.connect({ dtlsParameters: dtls }),
      ...sections.map((section) => (section.own ? this.#applyOwn(section) : this.#target.answeredRemote(section))),
    ]);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #applyOwn(section: AnsweredSection): Promise<void> {
    await this.#target.answeredOwn(section, await this.#produce(section));
  }

  /** The producer of the section, the one that is there if the client sends the same as before. */
  async #produce(section: AnsweredSection): Promise<Producer | undefined> {
    const { mid, kind } = section;
    const rtpParameters = producerParameters(section, this.#target.cname);
    const parameters = JSON.stringify(rtpParameters);
    const old = this.#producers.get(mid);
    if (old !== undefined && old.parameters === parameters) return old.producer;
    old?.producer.close();
    this.#producers.delete(mid);
    if (rtpParameters === undefined) return undefined;
    const producer = await this.#transport.produce({ kind, rtpParameters });
    if (this.#closed) return undefined;
    this.#producers.set(mid, { producer, parameters });
    return producer;
  }
}

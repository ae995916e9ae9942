import type { CallErrorCode } from '../protocol/codes.ts';
import type { MediaDirection, ServerMessage, SessionInfo, WantedMedia } from '../protocol/messages.ts';
import { makeCertificate } from './certificate.ts';
import { Deadlines } from './deadlines.ts';
import { deferred } from './deferred.ts';
import { type MediaChoices, wantedMedia } from './devices.ts';
import { Emitter } from './emitter.ts';
import { CallError, type CallErrorDetails, type LocalErrorCode } from './errors.ts';
import { FirstMedia } from './first-media.ts';
import { listen } from './listen.ts';
import { LocalMedia } from './local-media.ts';
import { watchNetwork } from './network.ts';
import { now } from './now.ts';
import { Participants } from './participants.ts';
import { checkOptions, Peer } from './peer.ts';
import type { Kind } from './sdp.ts';
import { sessionDetails } from './session.ts';
import { Signaling } from './signaling.ts';
import { makeStart } from './start.ts';
import type { CallEnd, CallEvents, CallState, ConnectOptions, SessionDetails, Timings } from './types.ts';

/** One call, from `connect()` to its end. */
export class Call extends Emitter<CallEvents> {
  /** Resolves when media is connected; rejects with a `CallError` that says why when the call ends before that. */
  readonly live: Promise<void>;
  /** Resolves once, when everything is over. */
  readonly ended: Promise<CallEnd>;
  readonly timings: Timings = {};

  readonly #startedAt = now();
  readonly #live = deferred<void>();
  readonly #ended = deferred<CallEnd>();
  readonly #peerReady = deferred<Peer>();
  readonly #deadlines = new Deadlines((code, message) => this.#lose(code, { message }));
  readonly #local = new LocalMedia({
    sends: (kind) => sends(this.#wanted[kind]),
    put: (track) => this.#put(track.kind as Kind, track),
    failed: (error) => this.#onDeviceFailed(error),
  });
  readonly #participants = new Participants();
  readonly #firstMedia = new FirstMedia((kind) => this.#mark(kind === 'audio' ? 'firstAudio' : 'firstVideo'));
  readonly #signaling: Signaling;
  readonly #options: ConnectOptions;
  readonly #unlisten: (() => void)[] = [];
  #peer: Peer | undefined;
  #state: CallState = 'connecting';
  #session: SessionDetails | undefined;
  #wanted: WantedMedia;
  #wantedChanged = false;
  #negotiation = Promise.resolve();
  #restarting = false;
  #error: CallError | undefined;

  /** Throws `address_invalid` or `options_invalid`, before anything is opened. */
  constructor(options: ConnectOptions) {
    super();
    const { media = { audio: true, video: true }, signal } = options;
    checkOptions(options);
    this.live = this.#live.promise;
    this.ended = this.#ended.promise;
    // Whoever only looks at `ended` must not be told of an unhandled rejection.
    for (const { promise } of [this.#live, this.#peerReady]) promise.catch(() => {});
    this.#options = options;
    this.#wanted = wantedMedia(media);
    this.#signaling = new Signaling(options.url, this.#deadlines, {
      open: () => this.#mark('socket'),
      message: (message) => this.#onMessage(message),
      lost: (details) => this.#lose('network_error', details),
      failed: (error) => this.#fail(error),
    });
    // A call that was given up before it began shows its token to nobody, and asks for no device.
    if (signal?.aborted) void Promise.resolve().then(() => this.hangup());
    else this.#begin(media);
  }

  get state(): CallState {
    return this.#state;
  }

  /** Undefined until the first offer. */
  get session(): SessionDetails | undefined {
    return this.#session;
  }

  /** What the caller sends, for a self-view; the same stream for the whole call. */
  get local(): MediaStream {
    return this.#local.stream;
  }

  /** One MediaStream per participant; what comes back on the caller's own sections is `'remote'`. */
  get participants(): ReadonlyMap<string, MediaStream> {
    return this.#participants.present;
  }

  /** Sends another track of this kind, or none (null). A kind that was not sent so far becomes `sendrecv`. */
  async replaceTrack(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    if (this.#over) return;
    this.#local.replace(kind, track);
    this.emit('local', this.local);
    if (track && !sends(this.#wanted[kind])) this.setMedia({ [kind]: 'sendrecv' });
    const peer = await this.#peerReady.promise.catch(() => undefined);
    if (!this.#over) await peer?.attach(kind, track);
  }

  /** Asks for other kinds or directions; kinds that are not named stay as they are. */
  setMedia(media: WantedMedia): void {
    this.#wanted = { ...this.#wanted, ...media };
    this.#wantedChanged = true;
    if (this.#answered && !this.#over) this.#sendWanted();
  }

  /** Ends the call: media stops at once, the promise resolves when the server knows it too, or does not answer. */
  async hangup(): Promise<void> {
    if (this.#over) return void (await this.ended);
    if (!this.#signaling.started) return this.#finish({ reason: 'completed' });
    this.#signaling.send({ type: 'hangup' });
    this.#setState('ending');
    this.#releaseMedia();
    this.#deadlines.endAll();
    this.#deadlines.begin('end');
    await this.ended;
  }

  /** WebRTC statistics of the call's connection. */
  async getStats(): Promise<RTCStatsReport> {
    return (await this.#peerReady.promise).getStats();
  }

  get #over(): boolean {
    return this.#state === 'ending' || this.#state === 'ended';
  }

  get #answered(): boolean {
    return this.timings.answered !== undefined;
  }

  #begin(media: MediaChoices): void {
    this.#signaling.present(this.#options, (token) => {
      this.#wantedChanged = false;
      return makeStart(this.#options, token, this.#wanted);
    });
    this.#createPeer().catch((cause) => this.#failNegotiation(cause));
    void this.#local.open(media);
    this.#unlisten.push(watchNetwork(() => this.#restartIce()));
    const { signal } = this.#options;
    if (signal) this.#unlisten.push(listen(signal, 'abort', () => void this.hangup()));
  }

  async #createPeer(): Promise<void> {
    const certificate = this.#options.certificate ?? (await this.#deadlines.during('certificate', makeCertificate()));
    if (this.#over) return;
    this.#peer = new Peer(this.#options, certificate, {
      connected: () => this.#mark('connected'),
      unreachable: () => this.#onUnreachable(),
      reachable: () => this.#deadlines.end('media'),
    });
    this.#peerReady.resolve(this.#peer);
  }

  /** What cannot be sent is not negotiated either: Chromium plays no sound beside a picture that never comes. */
  #onDeviceFailed(error: CallError): void {
    const { kind, code } = error;
    if (this.#over || !kind) return;
    if (code === 'media_lost') this.#put(kind, null);
    const wanted = this.#wanted[kind];
    if (sends(wanted) && !this.#local.track(kind))
      this.setMedia({ [kind]: wanted === 'sendrecv' ? 'recvonly' : 'none' });
    this.emit('mediaerror', error);
  }

  #put(kind: Kind, track: MediaStreamTrack | null): void {
    this.replaceTrack(kind, track).catch((cause) => this.#failNegotiation(cause));
  }

  #onMessage(message: ServerMessage): void {
    switch (message.type) {
      case 'offer':
        return this.#onOffer(message);
      case 'resumed':
        return this.#setSession(message.session);
      case 'live':
        this.#deadlines.end('live');
        this.#live.resolve();
        return this.#setState('live');
      case 'tracks':
        this.#participants.assign(message.tracks);
        return this.#arrange();
      case 'expiring':
        return this.emit('expiring', message.expires_in_ms);
      case 'ended':
        return this.#finish({ reason: message.reason });
      case 'error':
        this.#error = new CallError(message.code, message);
        // The server closes now.
        return this.#deadlines.begin('end');
      default:
        return message satisfies never;
    }
  }

  /** Nothing more will be heard of the server: what it said last stands, and so does a hang-up. */
  #lose(code: LocalErrorCode | CallErrorCode, details: CallErrorDetails): void {
    const error = this.#error ?? new CallError(code, { retryable: !this.#signaling.presented, ...details });
    if (this.#state !== 'ending') return this.#fail(error);
    this.#error = error;
    this.#finish({ reason: 'completed' });
  }

  #onOffer(offer: ServerMessage & { type: 'offer' }): void {
    if (this.#over) return;
    this.#deadlines.end('offer');
    this.#deadlines.end('reoffer');
    this.#mark('offer');
    this.#setSession(offer.session);
    if (this.#state === 'connecting') this.#setState('answering');
    this.#negotiation = this.#negotiation
      .then(() => this.#deadlines.during('answer', this.#answer(offer.offer_id, offer.sdp)))
      .catch((cause) => this.#failNegotiation(cause));
  }

  async #answer(offerId: string, offer: string): Promise<void> {
    const peer = await this.#peerReady.promise;
    if (this.#over) return;
    await peer.answer(
      offer,
      (kind) => sends(this.#wanted[kind]),
      (sdp) => this.#tellAnswer(offerId, sdp),
    );
    this.#arrange();
  }

  #tellAnswer(offerId: string, sdp: string): void {
    if (this.#over) return;
    this.#signaling.send({ type: 'answer', offer_id: offerId, sdp });
    if (!this.#answered) this.#deadlines.begin('live');
    this.#mark('answered');
    this.#restarting = false;
    if (this.#wantedChanged) this.#sendWanted();
  }

  #sendWanted(): void {
    this.#wantedChanged = false;
    this.#signaling.send({ type: 'media', media: this.#wanted });
    this.#deadlines.begin('reoffer');
  }

  #restartIce(): void {
    // One at a time: the server keeps only one old ICE credential while its restart offer is unanswered.
    if (this.#over || this.#restarting || !this.#answered) return;
    this.#restarting = true;
    this.#signaling.send({ type: 'restart_ice' });
    this.#deadlines.begin('reoffer');
  }

  #onUnreachable(): void {
    if (this.#state === 'live') this.#deadlines.begin('media');
    this.#restartIce();
  }

  #arrange(): void {
    if (!this.#peer || this.#over) return;
    const incoming = this.#peer.incoming();
    for (const { receiver } of incoming) this.#firstMedia.watch(receiver);
    if (this.#participants.arrange(incoming)) this.emit('participants', this.participants);
  }

  #setSession(session: SessionInfo): void {
    this.#session = sessionDetails(session);
    this.#deadlines.end('expiry');
    this.#deadlines.begin('expiry', session.expires_in_ms);
    this.emit('session', this.#session);
  }

  #setState(state: CallState): void {
    if (this.#state === state || (this.#over && state !== 'ended')) return;
    this.#state = state;
    this.emit('state', state);
  }

  #mark(name: keyof Timings): void {
    if (this.timings[name] !== undefined) return;
    const ms = now() - this.#startedAt;
    this.timings[name] = ms;
    this.emit('timing', { name, ms });
  }

  #fail(error: CallError): void {
    if (this.#over) return;
    this.#error = error;
    this.#signaling.send({ type: 'hangup' });
    this.#finish({});
  }

  #failNegotiation(cause: unknown): void {
    const message = `This browser cannot answer: ${cause instanceof Error ? cause.message : cause}`;
    this.#fail(new CallError('negotiation_failed', { message, cause }));
  }

  /** The only way out: whatever the call holds is let go here. */
  #finish(end: CallEnd): void {
    if (this.#state === 'ended') return;
    if (this.#error) end.error = this.#error;
    const { reason = 'completed', error = new CallError(reason === 'completed' ? 'aborted' : reason) } = end;
    this.#deadlines.endAll();
    for (const unlisten of this.#unlisten) unlisten();
    this.#signaling.close();
    this.#releaseMedia();
    this.#setState('ended');
    this.#live.reject(error);
    this.#peerReady.reject(error);
    this.#ended.resolve(end);
    this.emit('ended', end);
  }

  #releaseMedia(): void {
    this.#firstMedia.close();
    this.#peer?.close();
    this.#local.close();
    if (this.#participants.arrange([])) this.emit('participants', this.participants);
  }
}

const sends = (direction: MediaDirection | undefined): boolean => direction === 'sendrecv' || direction === 'sendonly';

import type { ServerMessage, SessionInfo, WantedMedia } from '../protocol/messages.ts';
import { makeCertificate } from './certificate.ts';
import { Connections } from './connections.ts';
import { Deadlines } from './deadlines.ts';
import { deferred } from './deferred.ts';
import { type MediaChoices, wantedMedia } from './devices.ts';
import { Emitter } from './emitter.ts';
import { CallError } from './errors.ts';
import { LocalMedia } from './local-media.ts';
import { checkOptions } from './peer.ts';
import { Recovery } from './recovery.ts';
import { Requests } from './requests.ts';
import type { Kind } from './sdp.ts';
import { sessionDetails } from './session.ts';
import { Signaling } from './signaling.ts';
import { makeStart } from './start.ts';
import { Stopwatch } from './stopwatch.ts';
import { watchSurroundings } from './surroundings.ts';
import type { CallEnd, CallEvents, CallState, ConnectOptions, SessionDetails, Timings } from './types.ts';

/** One call, from `connect()` to its end. */
export class Call extends Emitter<CallEvents> {
  /** Resolves when media is connected; rejects with a `CallError` that says why when the call ends before that. */
  readonly live: Promise<void>;
  /** Resolves once, when everything is over. */
  readonly ended: Promise<CallEnd>;

  readonly #stopwatch = new Stopwatch((step) => this.emit('timing', step));
  readonly #live = deferred<void>();
  readonly #ended = deferred<CallEnd>();
  readonly #certificate = deferred<RTCCertificate | undefined>();
  readonly #deadlines = new Deadlines((code, message, wait) => {
    if (wait === 'socket' && this.#signaling.openNext()) return;
    if (wait === 'reoffer' && this.#signaling.renew()) return;
    this.#lose(new CallError(code, { message, retryable: !this.#signaling.presented }));
  });
  readonly #local = new LocalMedia({
    sends: (kind) => this.#requests.sends(kind),
    put: (track) => this.#put(track.kind as Kind, track),
    failed: (error) => this.#onDeviceFailed(error),
  });
  readonly #connections: Connections;
  readonly #signaling: Signaling;
  readonly #requests: Requests;
  readonly #recovery: Recovery;
  readonly #options: ConnectOptions;
  #state: CallState = 'connecting';
  #session: SessionDetails | undefined;
  #error: CallError | undefined;
  #unwatch: (() => void) | undefined;

  /** Throws `address_invalid` or `options_invalid`, before anything is opened. */
  constructor(options: ConnectOptions) {
    super();
    const { media = { audio: true, video: true }, signal } = options;
    checkOptions(options);
    this.live = this.#live.promise;
    this.ended = this.#ended.promise;
    // Whoever only looks at `ended` must not be told of an unhandled rejection.
    for (const { promise } of [this.#live, this.#certificate]) promise.catch(() => {});
    this.#options = options;
    this.#signaling = new Signaling(options, this.#deadlines, {
      open: () => this.#stopwatch.mark('socket'),
      message: (message) => this.#onMessage(message),
      reconnecting: () => {
        if (!this.#over) this.#recovery.socketLost();
      },
      lost: (error) => this.#lose(error),
      failed: (error) => this.#fail(error),
    });
    this.#requests = new Requests(wantedMedia(media), this.#signaling, this.#deadlines);
    this.#connections = new Connections(options, this.#certificate.promise, this.#deadlines, {
      sends: (kind) => this.#requests.sends(kind),
      answer: (offerId, sdp) => this.#tellAnswer(offerId, sdp),
      participants: () => this.emit('participants', this.participants),
      firstMedia: (kind) => this.#stopwatch.mark(kind === 'audio' ? 'firstAudio' : 'firstVideo'),
      connected: () => this.#stopwatch.mark('connected'),
      unreachable: () => this.#onUnreachable(),
      reachable: () => this.#deadlines.end('media'),
      failed: (cause) => this.#failNegotiation(cause),
    });
    this.#recovery = new Recovery(this.#connections, this.#requests, this.#deadlines, {
      state: (state) => this.#setState(state),
      media: (media) => this.emit('reconnecting', { media }),
    });
    // A call that was given up before it began shows its token to nobody, and asks for no device.
    if (signal?.aborted) void Promise.resolve().then(() => this.hangup());
    else this.#begin(media);
  }

  get timings(): Timings {
    return this.#stopwatch.timings;
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
    return this.#connections.participants;
  }

  /** Sends another track of this kind, or none (null). A kind that was not sent so far becomes `sendrecv`. */
  async replaceTrack(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    if (this.#over) return;
    this.#local.replace(kind, track);
    this.emit('local', this.local);
    if (track && !this.#requests.sends(kind)) this.setMedia({ [kind]: 'sendrecv' });
    await this.#connections.attach(kind, track).catch((error) => {
      if (!this.#over) throw error;
    });
  }

  /** Asks for other kinds or directions; kinds that are not named stay as they are. */
  setMedia(media: WantedMedia): void {
    if (!this.#over) this.#requests.setMedia(media);
  }

  /** Ends the call: media stops at once, the promise resolves when the server knows it too, or does not answer. */
  async hangup(): Promise<void> {
    if (this.#over) return void (await this.ended);
    if (!this.#signaling.started) return this.#finish({ reason: 'completed' });
    this.#signaling.hangUp();
    this.#setState('ending');
    this.#releaseMedia();
    this.#deadlines.endAll();
    this.#deadlines.begin('end');
    await this.ended;
  }

  /** Keys for the application that answers the call: 1 to 32 of `0-9*#A-D`, in order. */
  sendDtmf(digits: string): void {
    this.#signaling.send({ type: 'dtmf', digits });
  }

  /** Hands the application any JSON of at most 4 KiB. */
  send(content: unknown): void {
    this.#signaling.send({ type: 'message', content });
  }

  /** WebRTC statistics of the call's connection; those of another one after `reconnecting`, perhaps. */
  getStats(): Promise<RTCStatsReport> {
    return this.#connections.getStats();
  }

  get #over(): boolean {
    return this.#state === 'ending' || this.#state === 'ended';
  }

  #begin(media: MediaChoices): void {
    const { certificate, signal } = this.#options;
    this.#signaling.present(this.#options, (token) => makeStart(this.#options, token, this.#requests.tell()));
    this.#certificate.resolve(certificate ?? this.#deadlines.during('certificate', makeCertificate()));
    void this.#local.open(media);
    const around = {
      networkChanged: () => this.#onNetwork(),
      left: () => this.#leave(),
      aborted: () => void this.hangup(),
    };
    this.#unwatch = watchSurroundings(around, signal);
  }

  /** What cannot be sent is not negotiated either: Chromium plays no sound beside a picture that never comes. */
  #onDeviceFailed(error: CallError): void {
    const { kind, code } = error;
    if (this.#over || !kind) return;
    if (code === 'media_lost') this.#put(kind, null);
    if (this.#requests.sends(kind) && !this.#local.track(kind))
      this.setMedia({ [kind]: this.#requests.direction(kind) === 'sendrecv' ? 'recvonly' : 'none' });
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
        this.#setSession(message.session);
        return this.#recovery.resumed();
      case 'live':
        this.#deadlines.end('live');
        return this.#connections.live(() => this.#onLive());
      case 'tracks':
        return this.#connections.assign(message.tracks);
      case 'application':
        return this.emit('application', message.state);
      case 'message':
        return this.emit('message', message.content);
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
  #lose(error: CallError): void {
    const last = this.#error ?? error;
    if (this.#state !== 'ending') return this.#fail(last);
    this.#error = last;
    this.#finish({ reason: 'completed' });
  }

  #onOffer(offer: ServerMessage & { type: 'offer' }): void {
    if (this.#over) return;
    this.#deadlines.end('offer');
    this.#requests.onOffer(offer.fresh === true);
    this.#stopwatch.mark('offer');
    this.#setSession(offer.session);
    if (this.#state === 'connecting') this.#setState('answering');
    if (offer.fresh) this.#recovery.mediaLost();
    this.#connections.take(offer);
  }

  #onLive(): void {
    if (this.#over || this.#signaling.reconnecting) return;
    this.#recovery.live();
    this.#live.resolve();
    this.#setState('live');
  }

  #tellAnswer(offerId: string, sdp: string): void {
    if (this.#over) return;
    this.#signaling.send({ type: 'answer', offer_id: offerId, sdp });
    if (this.timings.answered === undefined) this.#deadlines.begin('live');
    this.#stopwatch.mark('answered');
    this.#requests.onAnswer();
  }

  #onUnreachable(): void {
    if (this.#state === 'live') this.#deadlines.begin('media');
    if (!this.#over) this.#requests.restartIce();
  }

  #onNetwork(): void {
    if (!this.#over) this.#requests.restartIce();
    this.#signaling.retry();
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

  #fail(error: CallError): void {
    if (this.#over) return;
    this.#error = error;
    this.#signaling.send({ type: 'hangup' });
    this.#finish({});
  }

  /** A page that is left is not to come back: nobody shall wait for it. */
  #leave(): void {
    if (this.#state === 'ended') return;
    this.#signaling.hangUp();
    this.#finish({ reason: 'completed' });
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
    this.#unwatch?.();
    this.#signaling.close();
    this.#releaseMedia();
    this.#setState('ended');
    this.#live.reject(error);
    this.#certificate.reject(error);
    this.#ended.resolve(end);
    this.emit('ended', end);
  }

  #releaseMedia(): void {
    this.#recovery.close();
    this.#connections.close();
    this.#local.close();
  }
}

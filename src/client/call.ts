import type { MediaDirection, ServerMessage, StartMessage, WantedMedia } from '../protocol/messages.ts';
import { type MediaChoices, wantedMedia } from './devices.ts';
import { Emitter } from './emitter.ts';
import { CallError } from './errors.ts';
import { FirstMedia } from './first-media.ts';
import { LocalMedia } from './local-media.ts';
import { watchNetwork } from './network.ts';
import { Participants } from './participants.ts';
import { Peer } from './peer.ts';
import type { Kind } from './sdp.ts';
import { Signaling } from './signaling.ts';
import { makeStart } from './start.ts';
import type { CallEnd, CallEvents, CallState, ConnectOptions, SessionDetails, Timings } from './types.ts';

/** The server stores the end before it says `ended`, for 1 s at most; longer than this nobody is there to say it. */
const HANGUP_PATIENCE_MS = 2000;

/** One call, from `connect()` to its end. */
export class Call extends Emitter<CallEvents> {
  /** Resolves when media is connected; rejects with a `CallError` when the call ends before that. */
  readonly live: Promise<void>;
  /** Resolves once, when everything is over. */
  readonly ended: Promise<CallEnd>;
  readonly timings: Timings = {};

  readonly #startedAt = performance.now();
  readonly #lifetime = new AbortController();
  readonly #live = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<CallEnd>();
  readonly #local = new LocalMedia();
  readonly #participants = new Participants();
  readonly #firstMedia = new FirstMedia((kind) => this.#mark(kind === 'audio' ? 'firstAudio' : 'firstVideo'));
  readonly #signaling: Signaling;
  readonly #peerReady: Promise<Peer>;
  readonly #endpointId: string;
  readonly #certificate: RTCCertificate | undefined;
  #peer: Peer | undefined;
  #state: CallState = 'connecting';
  #session: SessionDetails | undefined;
  #wanted: WantedMedia;
  #wantedChanged = false;
  #negotiation = Promise.resolve();
  #restarting = false;
  #error: CallError | undefined;
  #hangupPatience: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectOptions) {
    super();
    const { media = { audio: true, video: true }, signal } = options;
    this.live = this.#live.promise;
    this.ended = this.#ended.promise;
    // Whoever only looks at `ended` must not be told of an unhandled rejection.
    this.live.catch(() => {});
    this.#endpointId = options.endpointId;
    this.#certificate = options.certificate;
    this.#wanted = wantedMedia(media);
    this.#signaling = new Signaling(options.url, {
      open: () => this.#mark('socket'),
      message: (message) => this.#onMessage(message),
      lost: (closeCode, started) => this.#onLost(closeCode, started),
    });
    this.#present(options);
    this.#peerReady = this.#createPeer();
    this.#peerReady.catch((cause) => this.#failNegotiation(cause));
    void this.#openDevices(media);
    watchNetwork(() => this.#restartIce(), this.#lifetime.signal);
    signal?.addEventListener('abort', () => void this.hangup(), { signal: this.#lifetime.signal });
    if (signal?.aborted) void this.hangup();
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
    const peer = await this.#peerReady;
    if (!this.#over) await peer.attach(kind, track);
  }

  /** Asks for other kinds or directions; kinds that are not named stay as they are. */
  setMedia(media: WantedMedia): void {
    this.#wanted = { ...this.#wanted, ...media };
    this.#wantedChanged = true;
    if (this.#answered) this.#sendWanted();
  }

  /** Ends the call: media stops at once, the promise resolves when the server knows it too. */
  async hangup(): Promise<void> {
    if (this.#over) return void (await this.ended);
    if (!this.#signaling.started) return this.#finish({ reason: 'completed' });
    this.#signaling.send({ type: 'hangup' });
    this.#setState('ending');
    this.#releaseMedia();
    this.#hangupPatience = setTimeout(() => this.#finish({ reason: 'completed' }), HANGUP_PATIENCE_MS);
    await this.ended;
  }

  /** WebRTC statistics of the call's connection. */
  async getStats(): Promise<RTCStatsReport> {
    return (await this.#peerReady).getStats();
  }

  get #over(): boolean {
    return this.#state === 'ending' || this.#state === 'ended';
  }

  get #answered(): boolean {
    return this.timings.answered !== undefined;
  }

  #present(options: ConnectOptions): void {
    if (options.token !== undefined) return this.#signaling.start(this.#start(options.token));
    const { getToken } = options;
    const start = Promise.resolve()
      .then(getToken)
      .then((token) => this.#start(token));
    this.#signaling.startWith(start).catch((cause) => this.#fail(new CallError('token_unavailable', { cause })));
  }

  #start(token: string): StartMessage {
    this.#wantedChanged = false;
    return makeStart({ endpointId: this.#endpointId, token, media: this.#wanted, certificate: this.#certificate });
  }

  async #createPeer(): Promise<Peer> {
    const ecdsa: EcKeyGenParams = { name: 'ECDSA', namedCurve: 'P-256' };
    const certificate = this.#certificate ?? (await RTCPeerConnection.generateCertificate(ecdsa));
    const peer = new Peer(certificate, {
      connected: () => this.#mark('connected'),
      unreachable: () => this.#restartIce(),
    });
    this.#peer = peer;
    if (this.#over) peer.close();
    return peer;
  }

  async #openDevices(choices: MediaChoices): Promise<void> {
    try {
      await this.#local.open(
        choices,
        (kind) => sends(this.#wanted[kind]),
        (track) => this.#attach(track),
      );
    } catch (error) {
      if (!this.#over && error instanceof CallError) this.emit('mediaerror', error);
    }
  }

  #attach(track: MediaStreamTrack): void {
    this.replaceTrack(track.kind as Kind, track).catch((cause) => this.#failNegotiation(cause));
  }

  #onMessage(message: ServerMessage): void {
    switch (message.type) {
      case 'offer':
        return this.#onOffer(message);
      case 'resumed':
        return this.#setSession(message.session);
      case 'live':
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
        return;
      default:
        return message satisfies never;
    }
  }

  #onLost(closeCode: number, started: boolean): void {
    if (this.#state === 'ending') return this.#finish({ reason: 'completed' });
    this.#fail(this.#error ?? new CallError('network_error', { closeCode, retryable: !started }));
  }

  #onOffer(offer: ServerMessage & { type: 'offer' }): void {
    if (this.#over) return;
    this.#mark('offer');
    this.#setSession(offer.session);
    if (this.#state === 'connecting') this.#setState('answering');
    this.#negotiation = this.#negotiation
      .then(() => this.#answer(offer.offer_id, offer.sdp))
      .catch((cause) => this.#failNegotiation(cause));
  }

  async #answer(offerId: string, offer: string): Promise<void> {
    const peer = await this.#peerReady;
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
    this.#mark('answered');
    this.#restarting = false;
    if (this.#wantedChanged) this.#sendWanted();
  }

  #sendWanted(): void {
    this.#wantedChanged = false;
    this.#signaling.send({ type: 'media', media: this.#wanted });
  }

  #restartIce(): void {
    // One at a time: the server keeps only one old ICE credential while its restart offer is unanswered.
    if (this.#over || this.#restarting || !this.#answered) return;
    this.#restarting = true;
    this.#signaling.send({ type: 'restart_ice' });
  }

  #arrange(): void {
    if (!this.#peer || this.#over) return;
    const incoming = this.#peer.incoming();
    for (const { receiver } of incoming) this.#firstMedia.watch(receiver);
    if (this.#participants.arrange(incoming)) this.emit('participants', this.participants);
  }

  #setSession({ id, endpoint_id, expires_at, expires_in_ms }: (ServerMessage & { type: 'offer' })['session']): void {
    this.#session = { id, endpointId: endpoint_id, expiresAt: new Date(expires_at), expiresInMs: expires_in_ms };
    this.emit('session', this.#session);
  }

  #setState(state: CallState): void {
    if (this.#state === state || (this.#over && state !== 'ended')) return;
    this.#state = state;
    this.emit('state', state);
  }

  #mark(name: keyof Timings): void {
    if (this.timings[name] !== undefined) return;
    const ms = performance.now() - this.#startedAt;
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
    this.#fail(new CallError('negotiation_failed', { cause }));
  }

  /** The only way out: whatever the call holds is let go here. */
  #finish(end: CallEnd): void {
    if (this.#state === 'ended') return;
    if (this.#error) end.error = this.#error;
    clearTimeout(this.#hangupPatience);
    this.#lifetime.abort();
    this.#signaling.close();
    this.#releaseMedia();
    this.#setState('ended');
    this.#live.reject(end.error ?? new CallError('aborted'));
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

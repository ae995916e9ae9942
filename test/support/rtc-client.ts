import {
  IceCandidate,
  RTCDtlsFingerprint,
  RTCDtlsParameters,
  RTCDtlsTransport,
  RTCIceGatherer,
  RTCIceParameters,
  RTCIceTransport,
  RtpHeader,
  type RtpPacket,
} from 'werift';
import {
  type AnswerOptions,
  answerDirection,
  type Identity,
  newIdentity,
  sends,
  ssrcsOf,
  writeAnswer,
} from '../../src/load/sdp/answer.ts';
import {
  extensionId,
  type Offer,
  type OfferedSection,
  readOffer,
  requiredValue,
  values,
} from '../../src/load/sdp/offer.ts';

export interface RtcClientOptions extends Omit<AnswerOptions, 'identity' | 'rids'> {
  /** The DTLS role that the client answers with; passive by default, as the SDK makes browsers answer. */
  setup?: Identity['setup'];
}

interface SentTrack {
  kind: string;
  payloadType: number;
  ssrc: number;
  midExtension: { id: number; payload: Buffer } | undefined;
  mid: string;
  sequenceNumber: number;
  timestamp: number;
}

const MID_URI = 'urn:ietf:params:rtp-hdrext:sdes:mid';
/** RFC 7714 section 14.2 (AEAD_AES_128_GCM) and RFC 5764 section 4.1.2 (AES128_CM_HMAC_SHA1_80). */
const SRTP_PROFILES: ConstructorParameters<typeof RTCDtlsTransport>[3] = [7, 1];
const TICK_MS = 20;
/** An Opus frame of 20 ms silence (RFC 6716 section 3: CELT, full band, code 0). */
const OPUS_SILENCE = Buffer.from([0xf8, 0xff, 0xfe]);
/** A VP8 key frame of 16×16 pixels: payload descriptor (RFC 7741 section 4.2), frame tag, start code, size, filler. */
const VP8_KEY_FRAME = Buffer.from([0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0, ...new Array<number>(20).fill(0)]);

/**
 * A WebRTC client in this process that answers the server's offers, with werift's ICE, DTLS and SRTP. It does without
 * werift's RTCPeerConnection, which offers nothing to packets of SSRCs that the offer did not declare, and which asks a
 * public STUN server for up to 5 s when it gathers candidates.
 */
export class RtcClient {
  /** RTP packets that came in, retransmissions left out. */
  readonly received = { audio: 0, video: 0 };
  /** Resolves when ICE and DTLS are up; rejects when they fail or the client closes before. */
  readonly connected: Promise<void>;
  readonly #identity: Identity;
  readonly #options: RtcClientOptions;
  readonly #ice: RTCIceTransport;
  readonly #dtls: RTCDtlsTransport;
  readonly #up = Promise.withResolvers<void>();
  readonly #receivedOn = new Map<string, number>();
  readonly #kinds = new Map<number, 'audio' | 'video'>();
  #midExtensionId: number | undefined;
  #tracks: SentTrack[] = [];
  #sender: NodeJS.Timeout | undefined;
  #answerSdp = '';

  /** Answers the first offer of a session and begins to connect. */
  static async answer(offerSdp: string, options: RtcClientOptions = {}): Promise<RtcClient> {
    const certificate = await RTCDtlsTransport.SetupCertificate();
    const client = new RtcClient(options, certificate.getFingerprints()[0]!.value);
    await client.answer(offerSdp);
    client.#connect();
    return client;
  }

  private constructor(options: RtcClientOptions, fingerprint: string) {
    this.#options = options;
    this.#identity = newIdentity({ fingerprint, setup: options.setup ?? 'passive' });
    const gatherer = new RTCIceGatherer({
      useIpv4: false,
      useIpv6: false,
      // The one socket is bound to all addresses; this only names its candidate.
      additionalHostAddresses: ['127.0.0.1'],
    });
    delete gatherer.connection.stunServer;
    gatherer.connection.iceControlling = true;
    this.#ice = new RTCIceTransport(gatherer);
    this.#dtls = new RTCDtlsTransport({}, this.#ice, RTCDtlsTransport.localCertificate, SRTP_PROFILES);
    this.#dtls.role = this.#identity.setup === 'active' ? 'client' : 'server';
    this.#dtls.onRtp.subscribe((packet) => this.#count(packet));
    this.connected = this.#up.promise;
    // Whoever does not wait for the connection does not want to hear of its failure either.
    void Promise.allSettled([this.connected]);
  }

  /** The latest answer. */
  get answerSdp(): string {
    return this.#answerSdp;
  }

  /** RTP packets that came in on one section. */
  receivedOn(mid: string): number {
    return this.#receivedOn.get(mid) ?? 0;
  }

  /** Answers an offer, later ones included; new ICE credentials in it restart ICE. Returns the answer. */
  async answer(offerSdp: string): Promise<string> {
    const offer = readOffer(offerSdp);
    const first = offer.sections.find(({ kind }) => this.#takes(kind));
    if (first === undefined) throw new Error('the client takes none of the offered sections');
    await this.#setRemote(offer, first);
    for (const section of offer.sections) this.#learn(section);
    this.#tracks = offer.sections.flatMap((section) => this.#track(section));
    const { usernameFragment, password } = this.#ice.localParameters;
    const identity = Object.assign(this.#identity, { usernameFragment, password });
    this.#answerSdp = writeAnswer(offerSdp, { ...this.#options, identity });
    return this.#answerSdp;
  }

  /** Sends an Opus frame every 20 ms and a VP8 key frame every 40 ms on what was answered as sending. */
  startSending(): void {
    let tick = 0;
    this.#sender ??= setInterval(() => {
      for (const track of this.#tracks) if (track.kind === 'audio' || tick % 2 === 0) this.#send(track);
      tick++;
    }, TICK_MS);
  }

  stopSending(): void {
    clearInterval(this.#sender);
    this.#sender = undefined;
  }

  async close(): Promise<void> {
    this.stopSending();
    this.#up.reject(new Error('the client was closed'));
    // werift repeats an unanswered flight for up to 33 s; a later flight ends that.
    if (this.#dtls.dtls !== undefined) this.#dtls.dtls.dtls.flight = Number.MAX_SAFE_INTEGER;
    await this.#dtls.stop();
  }

  #connect(): void {
    this.#ice
      .start()
      .then(() => this.#dtls.start())
      .then(this.#up.resolve, this.#up.reject);
  }

  async #setRemote(offer: Offer, section: OfferedSection): Promise<void> {
    const usernameFragment = requiredValue(offer, section, 'ice-ufrag');
    const password = requiredValue(offer, section, 'ice-pwd');
    const before = this.#ice.getRemoteParameters();
    if (before?.usernameFragment === usernameFragment && before.password === password) return;
    this.#ice.setRemoteParams(new RTCIceParameters({ iceLite: true, usernameFragment, password }));
    await this.#ice.gather();
    for (const candidate of offer.sections.flatMap((each) => values(each, 'candidate'))) {
      await this.#ice.addRemoteCandidate(IceCandidate.fromJSON({ candidate: `candidate:${candidate}`, sdpMid: '' }));
    }
    await this.#ice.addRemoteCandidate(undefined);
    if (before !== null) {
      await this.#ice.start();
      return;
    }
    const [algorithm = '', value = ''] = requiredValue(offer, section, 'fingerprint').split(' ');
    const role = this.#identity.setup === 'active' ? 'server' : 'client';
    this.#dtls.setRemoteParams(new RTCDtlsParameters([new RTCDtlsFingerprint(algorithm, value)], role));
  }

  /** Remembers what the packets of a section look like. */
  #learn(section: OfferedSection): void {
    const { kind, payloadTypes } = section;
    if (kind !== 'audio' && kind !== 'video') return;
    const rtx = new Set(
      values(section, 'rtpmap')
        .filter((line) => line.includes(' rtx/'))
        .map((line) => Number.parseInt(line, 10)),
    );
    for (const type of payloadTypes.map(Number)) if (!rtx.has(type)) this.#kinds.set(type, kind);
    this.#midExtensionId ??= extensionId(section, MID_URI);
  }

  #track(section: OfferedSection): SentTrack[] {
    const { kind, mid, payloadTypes } = section;
    if (kind === 'application' || !this.#takes(kind)) return [];
    if (!sends(answerDirection(section, this.#options.direction))) return [];
    const { media: ssrc } = ssrcsOf(this.#identity, mid);
    const running = this.#tracks.find((track) => track.ssrc === ssrc);
    if (running !== undefined) return [running];
    const id = extensionId(section, MID_URI);
    const midExtension = id === undefined ? undefined : { id, payload: Buffer.from(mid) };
    return [{ kind, mid, ssrc, payloadType: Number(payloadTypes[0]), midExtension, sequenceNumber: 1, timestamp: 1 }];
  }

  #takes(kind: string): boolean {
    return this.#options.kinds?.includes(kind) ?? true;
  }

  #send(track: SentTrack): void {
    if (this.#dtls.state !== 'connected') return;
    const audio = track.kind === 'audio';
    const header = new RtpHeader({
      payloadType: track.payloadType,
      ssrc: track.ssrc,
      sequenceNumber: track.sequenceNumber,
      timestamp: track.timestamp,
      marker: !audio,
      extension: track.midExtension !== undefined,
      extensions: track.midExtension === undefined ? [] : [track.midExtension],
    });
    track.sequenceNumber = (track.sequenceNumber + 1) % 2 ** 16;
    track.timestamp = (track.timestamp + (audio ? 48 * TICK_MS : 90 * 2 * TICK_MS)) % 2 ** 32;
    void this.#dtls.sendRtp(audio ? OPUS_SILENCE : VP8_KEY_FRAME, header);
  }

  #count({ header }: RtpPacket): void {
    const kind = this.#kinds.get(header.payloadType);
    if (kind === undefined) return;
    this.received[kind]++;
    const mid = header.extensions.find(({ id }) => id === this.#midExtensionId)?.payload.toString();
    if (mid !== undefined) this.#receivedOn.set(mid, this.receivedOn(mid) + 1);
  }
}

import { readRequests } from './feedback.ts';
import { SOURCES, type Source } from './frames.ts';
import { MediaTransport, type RemoteTransport } from './media-transport.ts';
import type { Packets, Peer } from './peer.ts';
import { ReceivedStream } from './received-stream.ts';
import { headerLengthOf, payloadTypeOf, sequenceNumberOf, ssrcOf } from './rtp-header.ts';
import {
  type AnswerOptions,
  answerDirection,
  type Identity,
  newIdentity,
  sends,
  ssrcsOf,
  writeAnswer,
} from './sdp/answer.ts';
import { extensionId, type Offer, type OfferedSection, readOffer, requiredValue, values } from './sdp/offer.ts';
import { SentTrack } from './sent-track.ts';
import { unprotect } from './srtp.ts';
import { everyTick } from './ticker.ts';

export type Kind = 'audio' | 'video';

export interface RtcPeerOptions extends Omit<AnswerOptions, 'identity' | 'rids' | 'kinds'> {
  /** Sections of other kinds are rejected. */
  kinds: readonly string[];
  /** The DTLS role that it answers with; passive by default, as the SDK makes browsers answer. */
  setup?: Identity['setup'] | undefined;
  /** What it sends of each codec, in place of what was recorded. */
  sources?: Readonly<Record<string, Source>>;
}

const MID_URI = 'urn:ietf:params:rtp-hdrext:sdes:mid';
/** An honest server sends few streams to one client; packets of more SSRCs than this are not told apart. */
const MAX_STREAMS = 1_024;

/** A client with media: it sends recorded frames on what it answered as sending, and counts below any router of tracks. */
export class RtcPeer implements Peer {
  /** Hears of every RTP packet that is counted, as it came, and of its decrypted payload. */
  onPacket: ((kind: Kind, packet: Buffer, payload: Buffer) => void) | undefined;
  readonly #options: RtcPeerOptions;
  readonly #transport: MediaTransport;
  readonly #identity: Identity;
  readonly #first = Promise.withResolvers<void>();
  /** By payload type, those of retransmissions left out. */
  readonly #kinds = new Map<number, Kind>();
  readonly #received = new Map<number, ReceivedStream>();
  /** All that it ever sent, by SSRC. */
  readonly #tracks = new Map<number, SentTrack>();
  #sending: readonly SentTrack[] = [];
  #stopTicking: (() => void) | undefined;
  #stopped = false;
  #sent = 0;
  #came = 0;
  #cameAt = 0;
  #retransmitted = 0;

  static async create(options: RtcPeerOptions): Promise<RtcPeer> {
    return new RtcPeer(options, await MediaTransport.create(options.setup ?? 'passive'));
  }

  private constructor(options: RtcPeerOptions, transport: MediaTransport) {
    this.#options = options;
    this.#transport = transport;
    this.#identity = newIdentity({ fingerprint: transport.fingerprint, setup: options.setup ?? 'passive' });
    transport.onRtp = (packet) => this.#count(packet);
    transport.onFeedback = (rtcp) => this.#serve(rtcp);
  }

  get connected(): Promise<void> {
    return this.#transport.connected;
  }

  get firstPacket(): Promise<void> {
    return this.#first.promise;
  }

  /** Packets that were sent again because the server missed them; `packets().sent` leaves them out. */
  get retransmitted(): number {
    return this.#retransmitted;
  }

  packets(): Packets {
    const lost = this.#received.values().reduce((sum, stream) => sum + stream.lost, 0);
    return { sent: this.#sent, received: this.#came, lost };
  }

  get silentMs(): number {
    return performance.now() - this.#cameAt;
  }

  async answer(offerSdp: string): Promise<string> {
    const offer = readOffer(offerSdp);
    const taken = offer.sections.filter(({ kind }) => this.#options.kinds.includes(kind));
    if (taken[0] === undefined) throw new Error('the client takes none of the offered sections');
    this.#transport.setRemote(remoteTransport(offer, taken[0]));
    for (const section of taken) this.#learn(section);
    this.#sending = taken.flatMap((section) => this.#track(section));
    Object.assign(this.#identity, this.#transport.iceCredentials);
    return writeAnswer(offerSdp, { ...this.#options, identity: this.#identity });
  }

  /** Begins to send, once connected; not again after `stopSending`. */
  startSending(): void {
    if (!this.#stopped) this.#stopTicking ??= everyTick(() => this.#tick());
  }

  stopSending(): void {
    this.#stopped = true;
    this.#stopTicking?.();
    this.#stopTicking = undefined;
  }

  close(): Promise<void> {
    this.stopSending();
    return this.#transport.close();
  }

  /** Remembers what packets a section may bring. */
  #learn(section: OfferedSection): void {
    if (section.kind !== 'audio' && section.kind !== 'video') return;
    for (const { payloadType, codec } of codecsOf(section)) {
      if (codec !== 'rtx') this.#kinds.set(payloadType, section.kind);
    }
  }

  #track(section: OfferedSection): SentTrack[] {
    const { kind, mid } = section;
    if (kind !== 'audio' && kind !== 'video') return [];
    if (!sends(answerDirection(section, this.#options.direction))) return [];
    const { media: ssrc } = ssrcsOf(this.#identity, mid);
    const running = this.#tracks.get(ssrc);
    if (running !== undefined) return [running];
    // The server takes the first codec of the answer, which mirrors the offer.
    const [first] = codecsOf(section);
    const sources: Readonly<Record<string, Source>> = this.#options.sources ?? SOURCES;
    const source = first && sources[first.codec];
    if (source === undefined) return [];
    const id = extensionId(section, MID_URI);
    const extension = id === undefined ? undefined : { id, value: Buffer.from(mid) };
    const track = new SentTrack({ source, payloadType: first!.payloadType, ssrc, extension });
    this.#tracks.set(ssrc, track);
    return [track];
  }

  #tick(): void {
    const keys = this.#transport.keys?.local;
    if (keys === undefined) return;
    for (const track of this.#sending) {
      for (const packet of track.tick(keys)) {
        this.#transport.send(packet);
        this.#sent++;
      }
    }
  }

  #serve(rtcp: Buffer): void {
    for (const request of readRequests(rtcp)) {
      const track = this.#tracks.get(request.ssrc);
      if (track === undefined) continue;
      if (request.for === 'key frame') track.skipToKeyFrame();
      else for (const number of new Set(request.sequenceNumbers)) this.#resend(track.sent(number));
    }
  }

  #resend(packet: Buffer | undefined): void {
    if (packet === undefined || this.#stopped) return;
    this.#transport.send(packet);
    this.#retransmitted++;
  }

  #count(packet: Buffer): void {
    const kind = this.#kinds.get(payloadTypeOf(packet));
    const headerLength = headerLengthOf(packet);
    const keys = this.#transport.keys?.remote;
    if (kind === undefined || headerLength === undefined || keys === undefined) return;
    const ssrc = ssrcOf(packet);
    const stream = this.#received.get(ssrc) ?? new ReceivedStream();
    const extended = stream.extend(sequenceNumberOf(packet));
    const payload = extended < 0 ? undefined : unprotect(keys, packet, headerLength, extended);
    if (payload === undefined) return;
    if (this.#received.size < MAX_STREAMS) this.#received.set(ssrc, stream);
    stream.add(extended);
    this.#cameAt = performance.now();
    if (this.#came++ === 0) this.#first.resolve();
    this.onPacket?.(kind, packet, payload);
  }
}

const remoteTransport = (offer: Offer, section: OfferedSection): RemoteTransport => {
  const [algorithm, sha256] = requiredValue(offer, section, 'fingerprint').split(' ');
  if (algorithm !== 'sha-256' || sha256 === undefined) throw new Error('the offer has no SHA-256 fingerprint');
  return {
    usernameFragment: requiredValue(offer, section, 'ice-ufrag'),
    password: requiredValue(offer, section, 'ice-pwd'),
    candidates: offer.sections.flatMap((each) => values(each, 'candidate')),
    sha256,
  };
};

const codecsOf = (section: OfferedSection): { payloadType: number; codec: string }[] =>
  values(section, 'rtpmap').map((line) => {
    const [payloadType, codec = ''] = line.split(/[ /]/);
    return { payloadType: Number(payloadType), codec };
  });

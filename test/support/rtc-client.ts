import { RtpHeader } from 'werift';
import { type Kind, RtcPeer, type RtcPeerOptions } from '../../src/peer/rtc-peer.ts';
import { extensionId, readOffer } from '../../src/peer/sdp/offer.ts';

export type RtcClientOptions = Partial<RtcPeerOptions>;

const MID_URI = 'urn:ietf:params:rtp-hdrext:sdes:mid';

/** A client of the load tester that sends when told, and tells what it received by kind and by section. */
export class RtcClient {
  /** RTP packets that came in, retransmissions left out. */
  readonly received = { audio: 0, video: 0 };
  /** Resolves when ICE and DTLS are up; rejects when the client closes before. */
  readonly connected: Promise<void>;
  readonly #peer: RtcPeer;
  readonly #closed = Promise.withResolvers<never>();
  readonly #receivedOn = new Map<string, number>();
  #midExtensionId: number | undefined;
  #answerSdp = '';

  /** Answers the first offer of a session and begins to connect. */
  static async answer(offerSdp: string, options: RtcClientOptions = {}): Promise<RtcClient> {
    const client = await RtcClient.create(options);
    await client.answer(offerSdp);
    return client;
  }

  /** One that has not answered yet. */
  static async create(options: RtcClientOptions = {}): Promise<RtcClient> {
    return new RtcClient(await RtcPeer.create({ kinds: ['audio', 'video', 'application'], ...options }));
  }

  private constructor(peer: RtcPeer) {
    this.#peer = peer;
    peer.onPacket = (kind, packet) => this.#count(kind, packet);
    this.connected = Promise.race([peer.connected, this.#closed.promise]);
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
    for (const section of readOffer(offerSdp).sections) this.#midExtensionId ??= extensionId(section, MID_URI);
    this.#answerSdp = await this.#peer.answer(offerSdp);
    return this.#answerSdp;
  }

  /** Sends Opus and VP8 on what was answered as sending. */
  startSending(): void {
    this.#peer.startSending();
  }

  stopSending(): void {
    this.#peer.stopSending();
  }

  async close(): Promise<void> {
    this.#closed.reject(new Error('the client was closed'));
    await this.#peer.close();
  }

  #count(kind: Kind, packet: Buffer): void {
    this.received[kind]++;
    const { extensions } = RtpHeader.deSerialize(packet);
    const mid = extensions.find(({ id }) => id === this.#midExtensionId)?.payload.toString();
    if (mid !== undefined) this.#receivedOn.set(mid, this.receivedOn(mid) + 1);
  }
}

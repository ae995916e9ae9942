import { CallError } from './errors.ts';
import { answerStereo, directionOf, type Kind, offerActive, readSections, type Section } from './sdp.ts';
import type { ConnectOptions } from './types.ts';

/** ICE heals a short gap by itself; after this long, in milliseconds, new credentials are asked for. */
const DISCONNECTED_PATIENCE_MS = 2000;

export type PeerOptions = Pick<ConnectOptions, 'iceServers' | 'iceTransportPolicy'>;

export interface PeerListener {
  /** ICE and DTLS are up for the first time. */
  connected(): void;
  /** ICE does not get through; a restart may help. */
  unreachable(): void;
  /** ICE gets through, for the first time or again. */
  reachable(): void;
}

/** A section that media comes in on. `own` tells the caller's sections from those that carry other participants. */
export interface Incoming {
  mid: string;
  own: boolean;
  receiver: RTCRtpReceiver;
}

function newConnection({ iceServers, iceTransportPolicy }: PeerOptions, certificate: RTCCertificate | undefined) {
  return new RTCPeerConnection({
    bundlePolicy: 'max-bundle',
    ...(certificate && { certificates: [certificate] }),
    ...(iceServers && { iceServers }),
    ...(iceTransportPolicy && { iceTransportPolicy }),
  });
}

/** Throws `options_invalid` for what the browser would refuse later, when the token is spent. */
export function checkOptions({ certificate, ...options }: PeerOptions & Pick<ConnectOptions, 'certificate'>): void {
  if (!certificate && !options.iceServers && !options.iceTransportPolicy) return;
  try {
    newConnection(options, certificate).close();
  } catch (cause) {
    const message = `The ICE servers, their policy or the certificate are refused by this browser: ${(cause as Error).message}`;
    throw new CallError('options_invalid', { message, cause });
  }
}

/** One RTCPeerConnection; it only ever answers. */
export class Peer {
  readonly #pc: RTCPeerConnection;
  readonly #listener: PeerListener;
  readonly #tracks = new Map<Kind, MediaStreamTrack | null>();
  #sections = new Map<string, Section>();
  #patience: ReturnType<typeof setTimeout> | undefined;
  #connected = false;

  constructor(options: PeerOptions, certificate: RTCCertificate | undefined, listener: PeerListener) {
    this.#pc = newConnection(options, certificate);
    this.#listener = listener;
    this.#pc.onconnectionstatechange = () => this.#onConnection();
    this.#pc.oniceconnectionstatechange = () => this.#onIce();
  }

  /**
   * Applies an offer and has the SDP of the answer told; `sends` tells which kinds the caller wants to send. Resolves when
   * both are applied.
   */
  async answer(sdp: string, sends: (kind: Kind) => boolean, tell: (answer: string) => void): Promise<void> {
    const first = !this.#pc.remoteDescription;
    await this.#pc.setRemoteDescription({ type: 'offer', sdp: offerActive(sdp) });
    this.#sections = new Map(readSections(sdp).map((section) => [section.mid, section]));
    const attached = this.#transceivers().flatMap(({ transceiver, section }) => {
      if (!section.canSend) return [];
      transceiver.direction = directionOf(sends(section.kind), section.canReceive);
      // After the offer and not by addTrack before it: a section that offers simulcast would not be matched to the track.
      return transceiver.sender.replaceTrack(this.#tracks.get(section.kind) ?? null);
    });
    // Nothing here waits for the other: the browser does one after the other (webrtc-pc, section 4.4.1.2).
    const [answer] = await Promise.all([this.#pc.createAnswer(), ...attached]);
    const told = answerStereo(answer.sdp ?? '', sdp);
    // The server makes itself ready meanwhile. Later it could send media before the browser expects any.
    if (first) tell(told);
    await this.#pc.setLocalDescription({ type: 'answer', sdp: told });
    if (!first) tell(told);
  }

  /** Sends this track from now on, or from the next answer when its kind has no section yet. */
  async attach(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    this.#tracks.set(kind, track);
    const own = this.#transceivers().find(({ section }) => section.kind === kind && section.canSend);
    await own?.transceiver.sender.replaceTrack(track);
  }

  incoming(): Incoming[] {
    return this.#transceivers()
      .filter(({ transceiver }) => ['sendrecv', 'recvonly'].includes(transceiver.currentDirection ?? ''))
      .map(({ transceiver, section }) => ({ mid: section.mid, own: section.canSend, receiver: transceiver.receiver }));
  }

  /** Whether ICE gets through. */
  get reachable(): boolean {
    return ['connected', 'completed'].includes(this.#pc.iceConnectionState);
  }

  getStats(): Promise<RTCStatsReport> {
    return this.#pc.getStats();
  }

  close(): void {
    clearTimeout(this.#patience);
    this.#pc.onconnectionstatechange = null;
    this.#pc.oniceconnectionstatechange = null;
    this.#pc.close();
  }

  #transceivers(): { transceiver: RTCRtpTransceiver; section: Section }[] {
    return this.#pc.getTransceivers().flatMap((transceiver) => {
      const section = this.#sections.get(transceiver.mid ?? '');
      return section ? { transceiver, section } : [];
    });
  }

  #onConnection(): void {
    if (this.#pc.connectionState !== 'connected' || this.#connected) return;
    this.#connected = true;
    this.#listener.connected();
  }

  #onIce(): void {
    clearTimeout(this.#patience);
    const state = this.#pc.iceConnectionState;
    if (this.reachable) this.#listener.reachable();
    if (state === 'failed') this.#listener.unreachable();
    if (state === 'disconnected') {
      this.#patience = setTimeout(() => this.#listener.unreachable(), DISCONNECTED_PATIENCE_MS);
    }
  }
}

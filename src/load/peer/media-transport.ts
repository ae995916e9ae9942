import type { Socket } from 'node:dgram';
import {
  IceCandidate,
  RTCDtlsFingerprint,
  RTCDtlsParameters,
  RTCDtlsTransport,
  RTCIceGatherer,
  RTCIceParameters,
  RTCIceTransport,
  StunProtocol,
} from 'werift';
import { isFeedback } from './feedback.ts';
import { isMedia, isRtcp } from './rtp-header.ts';
import type { SrtpKeys } from './srtp.ts';

/** AEAD_AES_128_GCM (RFC 7714 section 14.2); every callgate has it. */
const SRTP_PROFILES: ConstructorParameters<typeof RTCDtlsTransport>[3] = [7];

/** What the server's description says of its transport. */
export interface RemoteTransport {
  usernameFragment: string;
  password: string;
  /** Values of `a=candidate`. */
  candidates: readonly string[];
  fingerprint: { algorithm: string; value: string };
}

/**
 * ICE and DTLS of one client, by werift. It does without werift's RTCPeerConnection, which offers nothing to packets of SSRCs
 * that the offer did not declare, and which asks a public STUN server for up to 5 s when it gathers candidates. Media passes
 * werift by: it costs several times as much on the way through its transports.
 */
export class MediaTransport extends RTCDtlsTransport {
  /** Takes every SRTP packet that comes in. */
  onRtpPacket: (packet: Buffer) => void = () => {};
  /** Takes RTCP feedback. */
  onFeedback: (rtcp: Buffer) => void = () => {};
  #socket: Socket | undefined;
  #keys: { local: SrtpKeys; remote: SrtpKeys } | undefined;

  static async create(setup: 'active' | 'passive'): Promise<MediaTransport> {
    await RTCDtlsTransport.SetupCertificate();
    return new MediaTransport(setup);
  }

  private constructor(setup: 'active' | 'passive') {
    const gatherer = new RTCIceGatherer({
      useIpv4: false,
      useIpv6: false,
      // The one socket is bound to all addresses; this only names its candidate.
      additionalHostAddresses: ['127.0.0.1'],
    });
    delete gatherer.connection.stunServer;
    gatherer.connection.iceControlling = true;
    super({}, new RTCIceTransport(gatherer), RTCDtlsTransport.localCertificate, SRTP_PROFILES);
    this.role = setup === 'active' ? 'client' : 'server';
  }

  /** SHA-256 of the certificate, colon-separated; one certificate serves all clients of a process. */
  get fingerprint(): string {
    return this.localCertificate!.getFingerprints()[0]!.value;
  }

  get iceCredentials(): { usernameFragment: string; password: string } {
    return this.iceTransport.localParameters;
  }

  /** Keys of both directions, once the handshake is done. */
  get keys(): { local: SrtpKeys; remote: SrtpKeys } | undefined {
    return this.#keys;
  }

  /** Takes the server's side of the transport; new ICE credentials restart ICE. */
  async setRemote({ usernameFragment, password, candidates, fingerprint }: RemoteTransport): Promise<void> {
    const before = this.iceTransport.getRemoteParameters();
    if (before?.usernameFragment === usernameFragment && before.password === password) return;
    this.iceTransport.setRemoteParams(new RTCIceParameters({ iceLite: true, usernameFragment, password }));
    await this.iceTransport.gather();
    for (const candidate of candidates) {
      await this.iceTransport.addRemoteCandidate(IceCandidate.fromJSON({ candidate, sdpMid: '' }));
    }
    await this.iceTransport.addRemoteCandidate(undefined);
    if (before !== null) return this.iceTransport.start();
    const remote = new RTCDtlsFingerprint(fingerprint.algorithm, fingerprint.value);
    this.setRemoteParams(new RTCDtlsParameters([remote], this.role === 'client' ? 'server' : 'client'));
  }

  /** Resolves when ICE and DTLS are up. */
  async connect(): Promise<void> {
    await this.iceTransport.start();
    await this.start();
  }

  /** Sends a packet as it is; one that cannot be sent is lost like any other. */
  sendPacket(packet: Buffer): void {
    const pair = this.iceTransport.connection.nominated;
    if (pair !== undefined) this.#socket?.send(packet, pair.remoteAddr[1], pair.remoteAddr[0]);
  }

  override startSrtp(): void {
    this.updateSrtpSession();
    const { localContext, remoteContext } = this.srtp;
    this.#keys = {
      local: { key: localContext.srtpSessionKey, salt: localContext.srtpSessionSalt },
      remote: { key: remoteContext.srtpSessionKey, salt: remoteContext.srtpSessionSalt },
    };
    const protocol = this.iceTransport.connection.nominated?.protocol;
    if (!(protocol instanceof StunProtocol)) throw new Error('the selected candidate pair is not one of UDP');
    const { transport } = protocol;
    this.#socket = transport.socket;
    const ofWerift = transport.onData;
    transport.onData = (packet, address) => {
      if (!isMedia(packet)) ofWerift(packet, address);
      else if (!isRtcp(packet)) this.onRtpPacket(packet);
      else if (isFeedback(packet)) this.onFeedback(this.srtcp.decrypt(packet));
    };
  }

  async close(): Promise<void> {
    // werift repeats an unanswered flight for up to 33 s; a later flight ends that.
    if (this.dtls !== undefined) this.dtls.dtls.flight = Number.MAX_SAFE_INTEGER;
    await this.stop();
  }
}

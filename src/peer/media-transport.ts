// Read in werift 0.25.2: DtlsSocket hands the messages of each handshake flight to its property `onHandleHandshakes`, and repeats a flight of
// its own until `dtls.flight` is a later one.
import {
  DtlsClient,
  DtlsServer,
  type DtlsSocket,
  fingerprint,
  keyLength,
  ProtectionProfileAeadAes128Gcm,
  type RTCCertificate,
  RTCDtlsTransport,
  SrtpAuthenticationError,
  SrtpSession,
  saltLength,
} from 'werift';
import { hookMissed } from '../shared/hook.ts';
import { isFeedback } from './feedback.ts';
import { HandshakeOrder } from './handshake-order.ts';
import { IceAgent, type IceCredentials, type RemoteIce } from './ice-agent.ts';
import { isMedia, isRtcp } from './rtp-header.ts';
import { type SrtpKeys, srtpKeys } from './srtp.ts';

/** RFC 7714 section 14.2; every callgate has it. */
const PROFILE = ProtectionProfileAeadAes128Gcm;

/** The load tester has no log. */
const LOG = { warn: (_: object, message: string) => console.warn(`warning: werift: ${message}`) };

type Setup = 'active' | 'passive';
type DtlsCarrier = DtlsSocket['options']['transport'];

/** What the server's description says of its transport. */
export interface RemoteTransport extends RemoteIce {
  /** Fingerprint of its certificate: upper-case octets with colons between. */
  sha256: string;
}

interface Keys {
  local: SrtpKeys;
  remote: SrtpKeys;
  /** Takes SRTCP packets of the server apart; throws `SrtpAuthenticationError`. */
  readRtcp(packet: Buffer): Buffer;
}

interface OwnCertificate {
  certificate: RTCCertificate;
  fingerprint: string;
}

const makeCertificate = async (): Promise<OwnCertificate> => {
  const certificate = await RTCDtlsTransport.SetupCertificate();
  return { certificate, fingerprint: certificate.getFingerprints()[0]!.value };
};

/** One serves all clients of a thread. */
let ownCertificate: Promise<OwnCertificate> | undefined;

/**
 * Transport of one client: DTLS by werift, between an ICE agent and SRTP of our own. werift's RTCPeerConnection offers nothing
 * to packets of SSRCs that the offer did not declare. Its ICE asks a public STUN server first (one query without an answer
 * holds the SDP answer back for 5 s) and paces itself by 20 ms, within which the server's first ClientHello comes, is lost and
 * costs 100 ms. Its SRTP takes several times as long.
 */
export class MediaTransport {
  /** Takes every SRTP packet that comes in, from the moment there are keys. */
  onRtp: (packet: Buffer) => void = () => {};
  /** Takes RTCP feedback, decrypted. */
  onFeedback: (rtcp: Buffer) => void = () => {};
  /** SHA-256 of its certificate, colon-separated. */
  readonly fingerprint: string;
  readonly #ice = new IceAgent();
  readonly #dtls: DtlsServer | DtlsClient;
  readonly #connected = Promise.withResolvers<void>();
  /** What werift does for the handshake, timers included. */
  readonly #working = new Set<Promise<unknown>>();
  #remoteFingerprint = '';
  #keys: Keys | undefined;
  #closed = false;
  /** Whether the hooks into werift take. */
  #hooked = false;

  static async create(setup: Setup): Promise<MediaTransport> {
    ownCertificate ??= makeCertificate();
    return new MediaTransport(setup, await ownCertificate);
  }

  private constructor(setup: Setup, own: OwnCertificate) {
    const { certPem, privateKey, signatureHash } = own.certificate;
    this.fingerprint = own.fingerprint;
    const carrier = carrierOver(this.#ice);
    this.#dtls = new (setup === 'active' ? DtlsClient : DtlsServer)({
      cert: certPem,
      key: privateKey,
      signatureHash,
      transport: carrier,
      srtpProfiles: [PROFILE],
      extendedMasterSecret: true,
      certificateRequest: true,
    });
    const handle = this.#dtls.onHandleHandshakes;
    const order =
      this.#dtls instanceof DtlsServer ? new HandshakeOrder<Parameters<typeof handle>[0][number]>() : undefined;
    this.#dtls.onHandleHandshakes = (messages) => {
      this.#hooked = typeof this.#dtls.dtls.flight === 'number';
      return this.#work(handle(order?.take(messages) ?? messages));
    };
    this.#dtls.onConnect.once(() => this.#onHandshakeDone());
    this.#ice.onPacket = (packet) => {
      if (!isMedia(packet)) deliver(packet, carrier);
      else if (this.#keys !== undefined) this.#onMedia(packet, this.#keys);
    };
  }

  get iceCredentials(): IceCredentials {
    return this.#ice.credentials;
  }

  /** Resolves when ICE and DTLS are up. Never rejects: of a failure the server tells, and whoever waits has a deadline. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  /** Once connected. */
  get keys(): Keys | undefined {
    return this.#keys;
  }

  /** Takes the server's side of the transport and begins to connect; new ICE credentials restart ICE. */
  setRemote({ sha256, ...ice }: RemoteTransport): void {
    const first = this.#remoteFingerprint === '';
    this.#remoteFingerprint = sha256;
    this.#ice.setRemote(ice);
    if (first) void this.#ice.connected.then(() => this.#hello());
  }

  /** Sends a packet as it is; one that cannot be sent is lost like any other. */
  send(packet: Buffer): void {
    this.#ice.send(packet);
  }

  /** Resolves when nothing is left, which takes the last timer of an unfinished handshake: usually up to half a second. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#keys = undefined;
    // werift repeats an unanswered flight for up to 33 s; a later flight ends that.
    this.#dtls.dtls.flight = Number.MAX_SAFE_INTEGER;
    await this.#ice.close();
    await Promise.allSettled(this.#working);
  }

  /** The active side begins the handshake. */
  #hello(): void {
    if (this.#dtls instanceof DtlsClient && !this.#closed) void this.#work(this.#dtls.connect());
  }

  #work(promise: Promise<void>): Promise<void> {
    const done = () => this.#working.delete(promise);
    this.#working.add(promise);
    promise.then(done, done);
    return promise;
  }

  #onHandshakeDone(): void {
    if (this.#closed) return;
    if (!this.#hooked) hookMissed(LOG, { library: 'werift', hook: 'order and end of handshakes' });
    const certificate = this.#dtls.remoteCertificate;
    // RFC 8122 section 6.2: the other side must show the certificate that its description names.
    if (certificate === undefined || fingerprint(certificate, 'sha256') !== this.#remoteFingerprint) return;
    const { localKey, localSalt, remoteKey, remoteSalt } = this.#dtls.extractSessionKeys(
      keyLength(PROFILE),
      saltLength(PROFILE),
    );
    const keys = {
      localMasterKey: localKey,
      localMasterSalt: localSalt,
      remoteMasterKey: remoteKey,
      remoteMasterSalt: remoteSalt,
    };
    const { localContext: local, remoteContext: remote } = new SrtpSession({ keys, profile: PROFILE });
    this.#keys = {
      local: srtpKeys(local.srtpSessionKey, local.srtpSessionSalt),
      remote: srtpKeys(remote.srtpSessionKey, remote.srtpSessionSalt),
      readRtcp: (packet) => remote.cipher.decryptRTCP(packet)[0],
    };
    this.#connected.resolve();
  }

  #onMedia(packet: Buffer, { readRtcp }: Keys): void {
    if (!isRtcp(packet)) return this.onRtp(packet);
    if (!isFeedback(packet)) return;
    try {
      this.onFeedback(readRtcp(packet));
    } catch (error) {
      // Feedback of somebody else.
      if (!(error instanceof SrtpAuthenticationError)) throw error;
    }
  }
}

const deliver = (record: Buffer, { onData }: DtlsCarrier): void => {
  try {
    onData(record, ['', 0]);
  } catch {
    // RFC 6347 section 4.1.2.7: records that cannot be parsed are dropped in silence.
  }
};

/** werift's DTLS sends its records through this, and hears of those that came in. */
const carrierOver = (ice: IceAgent): DtlsCarrier => ({
  type: 'ice',
  // Never read.
  address: { address: '', family: '', port: 0 },
  closed: false,
  onData: () => {},
  send: async (record) => ice.send(record),
  close: async () => {},
});

import type { DtlsParameters, IceCandidate, IceParameters } from 'mediasoup/types';
import type { Direction, Format } from './format.ts';

/** The parts of a WebRtcTransport that a client must know. */
export interface TransportDescription {
  iceParameters: IceParameters;
  /** What its server writes of itself: see `serverLines`. */
  server: string;
}

/** The one stream that a section carries to the client. */
export interface Declaration {
  /** MediaStream and MediaStreamTrack ids (RFC 8830). */
  stream: string;
  track: string;
  cname: string;
  ssrc: number;
  rtxSsrc?: number;
}

export interface OfferedSection {
  readonly mid: string;
  readonly direction: Direction;
  readonly format: Format;
  readonly declaration?: Declaration | undefined;
}

/** The lines that all transports of one WebRtcServer have in common, written once: its certificate and its candidates. */
export const serverLines = (transport: {
  iceCandidates: readonly IceCandidate[];
  dtlsParameters: DtlsParameters;
}): string => {
  const fingerprint = transport.dtlsParameters.fingerprints.find(({ algorithm }) => algorithm === 'sha-256');
  return (
    'a=ice-options:renomination\r\n' +
    `a=fingerprint:sha-256 ${fingerprint?.value}\r\na=setup:actpass\r\n` +
    `${transport.iceCandidates.map(candidateLine).join('')}a=end-of-candidates\r\na=rtcp-mux\r\na=rtcp-rsize\r\n`
  );
};

/**
 * Writes an offer as text: this is the hot path, and most of it was written when the formats were made. Port 9 and
 * 0.0.0.0 are the placeholders that browsers write too (RFC 8829 section 5.2.1); the candidates are the truth.
 */
export const writeOffer = (
  version: number,
  transport: TransportDescription,
  sections: readonly OfferedSection[],
): string => {
  const shared = transportLines(transport);
  const session =
    `v=0\r\no=- 1 ${version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n` +
    'a=ice-lite\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n' +
    `a=group:BUNDLE ${sections.map(({ mid }) => mid).join(' ')}\r\n`;
  return session + sections.map((section) => sectionLines(section, shared)).join('');
};

const sectionLines = ({ mid, direction, format, declaration }: OfferedSection, shared: string): string =>
  `m=${format.kind} 9 UDP/TLS/RTP/SAVPF ${format.payloads}\r\nc=IN IP4 0.0.0.0\r\n${shared}` +
  `a=mid:${mid}\r\na=${direction}\r\n${format.lines}${declaration ? declarationLines(declaration) : ''}`;

/**
 * In every section and not only in the first: a client may reject the first one, and the transport is then the next
 * one's (RFC 8843 section 7.3.1). `actpass` because aiortc refuses an offer that says anything else.
 */
const transportLines = ({ iceParameters: { usernameFragment, password }, server }: TransportDescription): string =>
  `a=ice-ufrag:${usernameFragment}\r\na=ice-pwd:${password}\r\n${server}`;

const candidateLine = ({ foundation, protocol, priority, address, port, type, tcpType }: IceCandidate): string =>
  `a=candidate:${foundation} 1 ${protocol} ${priority} ${address} ${port} typ ${type}` +
  `${tcpType ? ` tcptype ${tcpType}` : ''}\r\n`;

const declarationLines = ({ stream, track, cname, ssrc, rtxSsrc }: Declaration): string => {
  const msid = `a=msid:${stream} ${track}\r\n`;
  const media = `a=ssrc:${ssrc} cname:${cname}\r\n`;
  return rtxSsrc === undefined
    ? msid + media
    : `${msid}a=ssrc-group:FID ${ssrc} ${rtxSsrc}\r\n${media}a=ssrc:${rtxSsrc} cname:${cname}\r\n`;
};

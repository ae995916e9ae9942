import type {
  DtlsRole,
  MediaKind,
  RtpCapabilities,
  RtpCodecParameters,
  RtpEncodingParameters,
  RtpHeaderExtensionParameters,
  RtpParameters,
} from 'mediasoup/types';
import { type MediaDescription, parse, type SessionDescription } from 'sdp-transform';
import { CallgateError } from '../errors.ts';
import { capabilitiesOf } from './codecs.ts';
import { codecName, type Direction, isRtx, receives, repairs, sends } from './format.ts';
import type { OfferedSection } from './offer.ts';

export interface Answer {
  /** SHA-256 of the client's certificate, upper-case hex. */
  fingerprint: string;
  /** The client's DTLS role. */
  role: Extract<DtlsRole, 'client' | 'server'>;
  /** One for each offered section, in its order. */
  sections: AnsweredSection[];
}

export interface AnsweredSection {
  mid: string;
  kind: MediaKind;
  /** What was agreed on, in the server's view; `inactive` when the client rejected the section. */
  direction: Direction;
  /** The offered codecs that the client took, in its order; none when it rejected the section. */
  codecs: RtpCodecParameters[];
  headerExtensions: RtpHeaderExtensionParameters[];
  /** What the client sends; empty when it sends nothing. */
  encodings: RtpEncodingParameters[];
}

/** Longest answer to an offer of so many sections. */
export const maxAnswerLength = (sections: number): number => 16_384 + 2048 * sections;

/** Browsers write about 30 lines for each section, and a full room has a hundred sections. */
export const maxAnswerLines = (sections: number): number => Math.max(2000, 48 * sections);

const MID_EXTENSION = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const RID_EXTENSION = 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id';
const MAX_SSRC = 0xffff_ffff;

/** Never echoes what the client sent: the message goes back to it and to the log. */
export const negotiationFailed = (message: string, cause?: unknown): CallgateError =>
  new CallgateError('negotiation_failed', { message, cause });

/**
 * Reads an answer that nobody has looked at and checks it against the offer (RFC 3264 section 6, RFC 8843 section 7.3,
 * RFC 8122 section 5, RFC 8842 section 5). Throws `CallgateError('negotiation_failed')` and nothing else.
 */
export const readAnswer = (sdp: string, offered: readonly OfferedSection[]): Answer => {
  const lines = sdp.length <= maxAnswerLength(offered.length) ? sdp.split(/\r\n|\r|\n/) : undefined;
  if (lines === undefined || lines.length > maxAnswerLines(offered.length))
    throw negotiationFailed('the answer is too long');
  const session = parse(sdp);
  if (session.media.length !== offered.length) {
    throw negotiationFailed(`the answer has ${session.media.length} media sections, the offer ${offered.length}`);
  }
  const pairs = offered.map((section, index) => ({ section, media: session.media[index] as MediaDescription }));
  const accepted = pairs.filter(({ media }) => media.port !== 0);
  if (accepted.length === 0) throw negotiationFailed('the answer accepts no media section');
  for (const { section, media } of pairs) checkIdentity(section, media);
  checkBundle(session, accepted);
  const sections = pairs.map(({ section, media }) => readSection(session, section, media));
  checkSsrcs(sections);
  return { fingerprint: readFingerprint(lines), role: readRole(session, accepted), sections };
};

/** What `transport.produce()` needs for a section on which the client sends; undefined when it does not. */
export const producerParameters = (section: AnsweredSection, cname: string): RtpParameters | undefined => {
  const { mid, codecs, headerExtensions, encodings } = section;
  const media = codecs.find((codec) => !isRtx(codec));
  if (media === undefined || encodings.length === 0) return undefined;
  const rtx = codecs.filter((codec) => isRtx(codec) && repairs(codec) === media.payloadType);
  // The cname is ours and not the client's: it ends up in the offers of others.
  return { mid, codecs: [media, ...rtx], headerExtensions, encodings, rtcp: { cname, reducedSize: true } };
};

/** What the client can take, by what it answered here; without any codec when it rejected the section. */
export const answeredCapabilities = ({ kind, codecs, headerExtensions }: AnsweredSection): RtpCapabilities =>
  capabilitiesOf(kind, codecs, headerExtensions);

interface Pair {
  section: OfferedSection;
  media: MediaDescription;
}

const checkIdentity = ({ mid, format }: OfferedSection, media: MediaDescription): void => {
  if (media.type !== format.kind) throw negotiationFailed(`section ${mid} of the answer is of another kind`);
  // sdp-transform makes numbers of what looks like one. Some clients leave the mid out of a rejected section.
  const sameMid = media.mid === undefined ? media.port === 0 : String(media.mid) === mid;
  if (!sameMid) throw negotiationFailed(`section ${mid} of the answer has another mid`);
};

const checkBundle = ({ groups = [] }: SessionDescription, accepted: readonly Pair[]): void => {
  if (accepted.some(({ media }) => media.rtcpMux === undefined)) {
    throw negotiationFailed('the answer does not take rtcp-mux');
  }
  const group = groups.find(({ type }) => type === 'BUNDLE');
  const bundled = new Set(String(group?.mids ?? '').split(' '));
  if (accepted.length > 1 && accepted.some(({ section }) => !bundled.has(section.mid))) {
    throw negotiationFailed('the answer does not bundle all sections');
  }
};

/** mediasoup tells the streams of a transport apart by them. */
const checkSsrcs = (sections: readonly AnsweredSection[]): void => {
  const encodings = sections.flatMap((section) => section.encodings);
  const ssrcs = encodings.flatMap(({ ssrc, rtx }) => [ssrc, rtx?.ssrc]).filter((ssrc) => ssrc !== undefined);
  if (new Set(ssrcs).size < ssrcs.length) throw negotiationFailed('the answer has an SSRC twice');
};

/** From the lines, because sdp-transform keeps only the last fingerprint of each section. */
const readFingerprint = (lines: readonly string[]): string => {
  const found = new Set<string>();
  for (const line of lines) {
    const [, hash] = /^a=fingerprint:sha-256 +(\S+)/i.exec(line) ?? [];
    if (hash !== undefined) found.add(hash.toUpperCase());
  }
  const [fingerprint] = found;
  if (fingerprint === undefined || found.size > 1) {
    throw negotiationFailed('the answer needs one sha-256 fingerprint, the same in all sections');
  }
  if (!/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/.test(fingerprint)) throw negotiationFailed('the fingerprint is malformed');
  return fingerprint;
};

const readRole = (session: SessionDescription, accepted: readonly Pair[]): Answer['role'] => {
  const setups = new Set(accepted.map(({ media }) => media.setup ?? session.setup));
  const [setup] = setups;
  if (setups.size > 1 || (setup !== 'active' && setup !== 'passive')) {
    throw negotiationFailed('the answer needs setup active or passive, the same in all sections');
  }
  return setup === 'active' ? 'client' : 'server';
};

const readSection = (
  session: SessionDescription,
  { mid, direction: offered, format }: OfferedSection,
  media: MediaDescription,
): AnsweredSection => {
  const { kind } = format;
  if (media.port === 0) {
    return { mid, kind, direction: 'inactive', codecs: [], headerExtensions: [], encodings: [] };
  }
  const answered = media.direction ?? session.direction ?? 'sendrecv';
  const clientSends = sends(answered);
  const clientReceives = receives(answered);
  if ((clientSends && !receives(offered)) || (clientReceives && !sends(offered))) {
    throw negotiationFailed(`section ${mid} of the answer has a direction that was not offered`);
  }
  const codecs = readCodecs(mid, format.codecs, media);
  const headerExtensions = readExtensions(format.headerExtensions, media);
  const section = { mid, kind, direction: mirror(clientSends, clientReceives), codecs, headerExtensions };
  return { ...section, encodings: clientSends ? readEncodings(section, format.rids, media) : [] };
};

const mirror = (clientSends: boolean, clientReceives: boolean): Direction => {
  if (clientSends) return clientReceives ? 'sendrecv' : 'recvonly';
  return clientReceives ? 'sendonly' : 'inactive';
};

/**
 * The client must keep the offered payload types, because both directions use them. Parameters stay as offered: they
 * say what the server takes, and the client has agreed to send it.
 */
const readCodecs = (
  mid: string,
  offered: readonly RtpCodecParameters[],
  media: MediaDescription,
): RtpCodecParameters[] => {
  const payloadTypes = [
    ...new Set(
      String(media.payloads ?? '')
        .trim()
        .split(/ +/),
    ),
  ];
  const codecs = payloadTypes.map((payloadType) => {
    const codec = offered.find((candidate) => String(candidate.payloadType) === payloadType);
    if (codec === undefined) throw negotiationFailed(`section ${mid} of the answer has a payload type of its own`);
    if (!mapsAsOffered(codec, media)) throw negotiationFailed(`section ${mid} of the answer maps a codec differently`);
    return { ...codec, rtcpFeedback: answeredFeedback(codec, media) };
  });
  if (!codecs.some((codec) => !isRtx(codec))) throw negotiationFailed(`section ${mid} of the answer has no codec`);
  return codecs;
};

const mapsAsOffered = (codec: RtpCodecParameters, { rtp, fmtp }: MediaDescription): boolean => {
  const maps = rtp.filter(({ payload }) => payload === codec.payloadType);
  const same = maps.every(
    ({ codec: name, rate, encoding }) =>
      String(name).toLowerCase() === codecName(codec).toLowerCase() &&
      rate === codec.clockRate &&
      Number(encoding ?? 1) === (codec.channels ?? 1),
  );
  if (!same || maps.length === 0) return false;
  if (!isRtx(codec)) return true;
  const own = fmtp.filter(({ payload }) => payload === codec.payloadType);
  return own.every(({ config }) => /(?:^|;) *apt=(\d+)/.exec(String(config))?.[1] === String(repairs(codec)));
};

const answeredFeedback = ({ payloadType, rtcpFeedback = [] }: RtpCodecParameters, { rtcpFb = [] }: MediaDescription) =>
  rtcpFeedback.filter(({ type, parameter }) =>
    rtcpFb.some(
      (feedback) =>
        (String(feedback.payload) === '*' || Number(feedback.payload) === payloadType) &&
        feedback.type === type &&
        (feedback.subtype ?? '') === (parameter ?? ''),
    ),
  );

const readExtensions = (
  offered: readonly RtpHeaderExtensionParameters[],
  { ext = [] }: MediaDescription,
): RtpHeaderExtensionParameters[] =>
  // One that the client renumbered or encrypts is one that it did not take (RFC 8285 section 6).
  offered.filter(({ id, uri }) =>
    ext.some((answered) => answered.value === id && answered.uri === uri && answered['encrypt-uri'] === undefined),
  );

/** RIDs where the client can mark its packets with them, else the SSRCs that it declared, else whatever has the MID. */
const readEncodings = (
  { mid, codecs, headerExtensions }: Pick<AnsweredSection, 'mid' | 'codecs' | 'headerExtensions'>,
  offeredRids: readonly string[],
  media: MediaDescription,
): RtpEncodingParameters[] => {
  const has = (wanted: string) => headerExtensions.some(({ uri }) => uri === wanted);
  const rids = readRids(mid, offeredRids, media);
  if (rids.length > 0 && has(RID_EXTENSION)) return rids.map((rid) => ({ rid, ...layering(rids.length) }));
  const ssrc = readSsrcs(mid, media, codecs.some(isRtx));
  if (ssrc === undefined && !has(MID_EXTENSION)) {
    throw negotiationFailed(`section ${mid} of the answer needs an SSRC or the MID extension`);
  }
  return [ssrc ?? {}];
};

/**
 * mediasoup takes simulcast without a mode for streams without temporal layers, and would forward a quarter of the
 * frames of a browser that has them; a stream that has none is forwarded whole under this mode as well.
 */
const layering = (layers: number) => (layers > 1 ? { scalabilityMode: 'L1T3' } : {});

/** The layers of `a=simulcast:send` in their order (RFC 8853 section 5.1): the first of each alternatives, none that is paused. */
const readRids = (mid: string, offered: readonly string[], { simulcast }: MediaDescription): string[] => {
  const list = simulcast?.dir1 === 'send' ? simulcast.list1 : simulcast?.dir2 === 'send' ? simulcast.list2 : undefined;
  if (list === undefined) return [];
  const layers = String(list).split(';');
  const rids = layers.flatMap((layer) => layer.split(',').find((rid) => !rid.startsWith('~')) ?? []);
  if (rids.some((rid) => !offered.includes(rid)) || new Set(rids).size < rids.length) {
    throw negotiationFailed(`section ${mid} of the answer has RIDs that were not offered`);
  }
  // A camera that is off at the moment: all layers are paused and come when it is turned on.
  return rids.length > 0 ? rids : offered.slice(0, layers.length);
};

const readSsrcs = (
  mid: string,
  { ssrcs = [], ssrcGroups = [] }: MediaDescription,
  hasRtx: boolean,
): RtpEncodingParameters | undefined => {
  const group = ssrcGroups.find(({ semantics }) => semantics === 'FID');
  const [media, rtx] = group === undefined ? [ssrcs[0]?.id] : String(group.ssrcs).split(' ').map(Number);
  if (media === undefined) return undefined;
  const valid = [media, rtx ?? 1].every(
    (ssrc) => Number.isInteger(ssrc) && Number(ssrc) > 0 && Number(ssrc) <= MAX_SSRC,
  );
  if (!valid) throw negotiationFailed(`section ${mid} of the answer has an SSRC that cannot be`);
  return { ssrc: Number(media), ...(hasRtx && rtx !== undefined ? { rtx: { ssrc: Number(rtx) } } : {}) };
};

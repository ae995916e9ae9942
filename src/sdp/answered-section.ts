import type {
  MediaKind,
  RtpCapabilities,
  RtpCodecParameters,
  RtpEncodingParameters,
  RtpHeaderExtensionParameters,
  RtpParameters,
} from 'mediasoup/types';
import type { MediaDescription, SessionDescription } from 'sdp-transform';
import { capabilitiesOf } from './codecs.ts';
import { negotiationFailed } from './failed.ts';
import {
  codecName,
  type Direction,
  EVENT_CARRIER,
  isMedia,
  isRtx,
  isTelephoneEvent,
  receives,
  repairs,
  sends,
} from './format.ts';
import type { OfferedSection } from './offer.ts';
import type { DeclaredStreams } from './parse-answer.ts';

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

const MID_EXTENSION = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const RID_EXTENSION = 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id';
const MAX_SSRC = 0xffff_ffff;

/** What `transport.produce()` needs for a section on which the client sends; undefined when it does not. */
export const producerParameters = (section: AnsweredSection, cname: string): RtpParameters | undefined => {
  const { mid, codecs, headerExtensions, encodings } = section;
  const media = codecs.find(isMedia);
  if (media === undefined || encodings.length === 0) return undefined;
  const rtx = codecs.filter((codec) => isRtx(codec) && repairs(codec) === media.payloadType);
  const events = codecs
    .filter((codec) => isTelephoneEvent(codec) && codec.clockRate === media.clockRate)
    .map((codec) => ({ ...codec, mimeType: `audio/${EVENT_CARRIER}` }));
  // The cname is ours and not the client's: it ends up in the offers of others.
  return { mid, codecs: [media, ...rtx, ...events], headerExtensions, encodings, rtcp: { cname, reducedSize: true } };
};

/** What the client can take, by what it answered here; without any codec when it rejected the section. */
export const answeredCapabilities = ({ kind, codecs, headerExtensions }: AnsweredSection): RtpCapabilities =>
  capabilitiesOf(kind, codecs, headerExtensions);

/**
 * Whether the client finds the section of a packet by the MID that the packet carries. Pion does so only where it has the RID
 * extension as well (`handleIncomingSSRC`), and by default it has neither.
 */
export const findsByMid = ({ kind, headerExtensions }: AnsweredSection): boolean =>
  [MID_EXTENSION, ...(kind === 'video' ? [RID_EXTENSION] : [])].every((uri) =>
    headerExtensions.some((extension) => extension.uri === uri),
  );

/** Reads one section and the streams that it declares; throws `CallgateError('negotiation_failed')`. */
export const readSection = (
  session: SessionDescription,
  { mid, direction: offered, format }: OfferedSection,
  media: MediaDescription,
  streams: DeclaredStreams = {},
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
  return { ...section, encodings: clientSends ? readEncodings(section, format.rids, media, streams) : [] };
};

const mirror = (clientSends: boolean, clientReceives: boolean): Direction => {
  if (clientSends) return clientReceives ? 'sendrecv' : 'recvonly';
  return clientReceives ? 'sendonly' : 'inactive';
};

/**
 * The offered codecs that the client took, in its order. Formats that were not offered, and payload types that it uses for
 * something else, are left out: nothing of them is ever sent to it. Parameters stay as offered: they say what the server
 * takes, and the client has agreed to send it. A section without any must be rejected with port 0 (RFC 3264 section 6.1).
 */
const readCodecs = (
  mid: string,
  offered: readonly RtpCodecParameters[],
  media: MediaDescription,
): RtpCodecParameters[] => {
  const payloadTypes = new Set(String(media.payloads ?? '').split(' '));
  const taken = [...payloadTypes].flatMap(
    (payloadType) => offered.find((codec) => String(codec.payloadType) === payloadType) ?? [],
  );
  const codecs = taken
    .filter((codec) => mapsAsOffered(codec, media))
    .map((codec) => ({ ...codec, rtcpFeedback: answeredFeedback(codec, media) }));
  if (!codecs.some(isMedia)) throw negotiationFailed(`section ${mid} of the answer has no codec that was offered`);
  return codecs;
};

const mapsAsOffered = (codec: RtpCodecParameters, { rtp, fmtp }: MediaDescription): boolean => {
  const maps = rtp.filter(({ payload }) => payload === codec.payloadType);
  const same = maps.every(
    ({ codec: name, rate, encoding }) =>
      String(name).toLowerCase() === codecName(codec).toLowerCase() &&
      rate === codec.clockRate &&
      sameChannels(codec, encoding),
  );
  if (!same || maps.length === 0) return false;
  if (!isRtx(codec)) return true;
  const own = fmtp.filter(({ payload }) => payload === codec.payloadType);
  return own.every(({ config }) => /(?:^|;) *apt=(\d+)/.exec(String(config))?.[1] === String(repairs(codec)));
};

/** Opus always is `/2` (RFC 7587 section 7) and decodes alike whatever a client writes there. */
const sameChannels = (codec: RtpCodecParameters, answered: unknown): boolean =>
  codecName(codec).toLowerCase() === 'opus' || Number(answered ?? 1) === (codec.channels ?? 1);

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
  // One that the client renumbered or encrypts is one that it did not take (RFC 8285 section 7).
  offered.filter(({ id, uri }) =>
    ext.some((answered) => answered.value === id && answered.uri === uri && answered['encrypt-uri'] === undefined),
  );

/** RIDs where the client can mark its packets with them, else the SSRCs that it declared, else whatever has the MID. */
const readEncodings = (
  { mid, codecs, headerExtensions }: Pick<AnsweredSection, 'mid' | 'codecs' | 'headerExtensions'>,
  offeredRids: readonly string[],
  media: MediaDescription,
  streams: DeclaredStreams,
): RtpEncodingParameters[] => {
  const has = (wanted: string) => headerExtensions.some(({ uri }) => uri === wanted);
  const rids = readRids(mid, offeredRids, media);
  if (rids.length > 0 && has(RID_EXTENSION)) return rids.map((rid) => ({ rid, ...layering(rids.length) }));
  const ssrc = readSsrcs(mid, streams, codecs.some(isRtx));
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

/**
 * The layers of `a=simulcast:send` in their order (RFC 8853 section 5.1): the first of each alternatives, none that is
 * paused and none that was not offered.
 */
const readRids = (mid: string, offered: readonly string[], { simulcast }: MediaDescription): string[] => {
  const list = simulcast?.dir1 === 'send' ? simulcast.list1 : simulcast?.dir2 === 'send' ? simulcast.list2 : undefined;
  if (list === undefined) return [];
  const layers = String(list).split(';');
  const rids = new Set(layers.flatMap((layer) => layer.split(',').find((rid) => !rid.startsWith('~')) ?? []));
  // A camera that is off at the moment: all layers are paused and come when it is turned on.
  if (rids.size === 0) return offered.slice(0, layers.length);
  const taken = [...rids].filter((rid) => offered.includes(rid));
  if (taken.length === 0) throw negotiationFailed(`section ${mid} of the answer has no RID that was offered`);
  return taken;
};

const readSsrcs = (
  mid: string,
  { ssrcs = [], ssrcGroups = [] }: DeclaredStreams,
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

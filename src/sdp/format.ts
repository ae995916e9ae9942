import type { MediaKind, RtpCodecParameters, RtpHeaderExtensionParameters } from 'mediasoup/types';

/** RFC 3264 section 5.1; in the server's view wherever nothing else is said. */
export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export const sends = (direction: Direction): boolean => direction === 'sendrecv' || direction === 'sendonly';
export const receives = (direction: Direction): boolean => direction === 'sendrecv' || direction === 'recvonly';

/** What a media section offers: codecs with the router's numbers, RTX included, header extensions and simulcast RIDs. */
export interface Format {
  readonly kind: MediaKind;
  readonly codecs: readonly RtpCodecParameters[];
  readonly headerExtensions: readonly RtpHeaderExtensionParameters[];
  /** RIDs that the client may send, the smallest layer first; empty without simulcast. */
  readonly rids: readonly string[];
  /** The payload types of the m= line. */
  readonly payloads: string;
  /** The attribute lines, each ended by CRLF; written once because every offer repeats them. */
  readonly lines: string;
}

export interface FormatOptions {
  rids?: readonly string[];
  /** Chromium starts a video stream at this rate instead of 300 kbps, which never reaches the upper simulcast layers. */
  startBitrateKbps?: number;
}

export const makeFormat = (
  kind: MediaKind,
  codecs: readonly RtpCodecParameters[],
  headerExtensions: readonly RtpHeaderExtensionParameters[],
  { rids = [], startBitrateKbps }: FormatOptions = {},
): Format => {
  const lines = [
    ...codecs.flatMap((codec) => codecLines(codec, startBitrateKbps)),
    ...headerExtensions.map(({ id, uri }) => `a=extmap:${id} ${uri}`),
    ...rids.map((rid) => `a=rid:${rid} recv`),
    ...(rids.length > 0 ? [`a=simulcast:recv ${rids.join(';')}`] : []),
  ];
  const payloads = codecs.map(({ payloadType }) => payloadType).join(' ');
  return { kind, codecs, headerExtensions, rids, payloads, lines: lines.map((line) => `${line}\r\n`).join('') };
};

/** `opus` of `audio/opus`. */
export const codecName = ({ mimeType }: { mimeType: string }): string => mimeType.slice(mimeType.indexOf('/') + 1);

export const isRtx = (codec: { mimeType: string }): boolean => codecName(codec).toLowerCase() === 'rtx';

/** Keys that are pressed, beside the media of a section (RFC 4733). */
export const TELEPHONE_EVENT = 'telephone-event';
export const isTelephoneEvent = (codec: { mimeType: string }): boolean =>
  codecName(codec).toLowerCase() === TELEPHONE_EVENT;

/**
 * What telephone events are called towards mediasoup, whose consumers hand on the packets of media codecs alone (`Consumer.cpp`). No
 * client is offered it.
 */
export const EVENT_CARRIER = 'iLBC';

/** Whether a codec carries sound or pictures, and not only what comes beside them. */
export const isMedia = (codec: { mimeType: string }): boolean => !isRtx(codec) && !isTelephoneEvent(codec);

/** The payload type that an RTX codec repairs (RFC 4588 section 8). */
export const repairs = ({ parameters }: RtpCodecParameters): unknown => parameters?.apt;

const codecLines = (codec: RtpCodecParameters, startBitrateKbps: number | undefined): string[] => {
  const { payloadType, clockRate, channels = 1, rtcpFeedback = [] } = codec;
  const parameters = { ...codec.parameters };
  if (startBitrateKbps !== undefined && !isRtx(codec)) parameters['x-google-start-bitrate'] = startBitrateKbps;
  const fmtp = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  return [
    `a=rtpmap:${payloadType} ${codecName(codec)}/${clockRate}${channels > 1 ? `/${channels}` : ''}`,
    ...(fmtp.length > 0 ? [`a=fmtp:${payloadType} ${fmtp.join(';')}`] : []),
    ...rtcpFeedback.map(({ type, parameter }) => `a=rtcp-fb:${payloadType} ${type}${parameter ? ` ${parameter}` : ''}`),
  ];
};

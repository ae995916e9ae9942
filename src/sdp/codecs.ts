import type {
  MediaKind,
  RouterRtpCodecCapability,
  RtpCapabilities,
  RtpCodecCapability,
  RtpCodecParameters,
  RtpHeaderExtension,
  RtpHeaderExtensionParameters,
} from 'mediasoup/types';
import type { VideoCodec } from '../directory/directory.ts';
import { codecName, EVENT_CARRIER, type Format, isRtx, makeFormat, TELEPHONE_EVENT } from './format.ts';

const video = (name: VideoCodec, parameters: Record<string, unknown> = {}): RouterRtpCodecCapability => ({
  kind: 'video',
  mimeType: `video/${name}`,
  clockRate: 90_000,
  parameters,
});

const h264 = (profileLevelId: string): RouterRtpCodecCapability =>
  video('H264', {
    'level-asymmetry-allowed': 1,
    'packetization-mode': 1,
    'profile-level-id': profileLevelId,
  });

const telephone = (name: string): RouterRtpCodecCapability => ({
  kind: 'audio',
  mimeType: `audio/${name}`,
  clockRate: 8000,
});

/** Of calls that reach applications: the sound of telephones, and what carries the keys that are pressed beside it. */
const TELEPHONE_CODECS = ['PCMU', 'PCMA', EVENT_CARRIER].map(telephone);

/**
 * The media codecs of every router, in the order in which they are offered; mediasoup adds RTX and the payload types.
 * H264 is constrained baseline, which every browser has, before (constrained) high.
 */
export const routerCodecs: RouterRtpCodecCapability[] = [
  {
    kind: 'audio',
    mimeType: 'audio/opus',
    clockRate: 48_000,
    channels: 2,
    parameters: { minptime: 10, useinbandfec: 1, usedtx: 1 },
  },
  video('VP8'),
  video('VP9', { 'profile-id': 0 }),
  h264('42e01f'),
  h264('640c1f'),
  video('AV1'),
  ...TELEPHONE_CODECS,
];

/** Both ways: `stereo` asks for it, `sprop-stereo` announces it (RFC 7587 section 6.1). */
const STEREO = { stereo: 1, 'sprop-stereo': 1 };

/** What the calls of an endpoint are offered. */
export interface Profile {
  /** The caller's own sections. */
  readonly own: Readonly<Record<MediaKind, Format>>;
  /** Sections that only ever carry media to the client. */
  readonly remote: Readonly<Record<MediaKind, Format>>;
}

export interface ProfileOptions {
  /** Others get what the caller sends: it is offered nothing that not every receiver takes. */
  toOthers: boolean;
  /** An application hears what the caller says, without transcoding. */
  toApplication?: boolean;
  /** The only video codec; all without it. */
  videoCodec?: VideoCodec | undefined;
  simulcast: boolean;
  stereo?: boolean | undefined;
  startBitrateKbps: number;
}

/** Codecs whose simulcast mediasoup forwards and browsers send. */
const SIMULCAST_CODECS: ReadonlySet<string> = new Set(['VP8', 'H264']);
const RIDS = ['l', 'm', 'h'];

/** mediasoup writes it itself and no browser knows it. */
const PACKET_ID = 'urn:mediasoup:params:rtp-hdrext:packet-id';

/**
 * A sender that has it turns no picture but says how each is to be turned (3GPP TS 26.114 section 7.4.5), and at a receiver
 * without it, such as Firefox, the picture of a phone lies on its side. All other extensions can be ignored by a receiver.
 */
const ORIENTATION = 'urn:3gpp:video-orientation';

export const makeProfile = (
  router: RtpCapabilities,
  { toOthers, toApplication = false, videoCodec, simulcast, stereo = false, startBitrateKbps }: ProfileOptions,
): Profile => {
  const audible = (codec: RtpCodecCapability) => toApplication === (codecName(codec) !== 'opus');
  const audio = codecsOf(router, 'audio', audible).map((codec) => (stereo ? inStereo(codec) : withEvents(codec)));
  const wanted = (codec: RtpCodecCapability) =>
    (videoCodec === undefined || codecName(codec) === videoCodec) && !(toOthers && isHigh(codec));
  const offered = codecsOf(router, 'video', wanted);
  const layered = codecsOf(router, 'video', (codec) => SIMULCAST_CODECS.has(codecName(codec)) && wanted(codec));
  const rids = simulcast && layered.length > 0 ? RIDS : [];
  const extensions = (kind: MediaKind, direction: 'recvonly' | 'sendonly') =>
    extensionsOf(router, kind, ['sendrecv', direction]).filter(({ uri }) => !toOthers || uri !== ORIENTATION);
  const own = (kind: MediaKind) => extensions(kind, 'recvonly');
  const remote = (kind: MediaKind) => extensions(kind, 'sendonly');
  return {
    own: {
      audio: makeFormat('audio', audio, own('audio')),
      video: makeFormat('video', rids.length > 0 ? layered : offered, own('video'), { rids, startBitrateKbps }),
    },
    remote: {
      audio: makeFormat('audio', audio, remote('audio')),
      video: makeFormat('video', offered, remote('video')),
    },
  };
};

/** What a client can take that accepts all these codecs and extensions. */
export const capabilitiesOf = (
  kind: MediaKind,
  codecs: readonly RtpCodecParameters[],
  headerExtensions: readonly RtpHeaderExtensionParameters[],
): RtpCapabilities => ({
  codecs: codecs.map(({ payloadType, ...codec }) => ({ ...codec, kind, preferredPayloadType: payloadType })),
  headerExtensions: headerExtensions.map(({ id, uri }) => ({ kind, uri, preferredId: id })),
});

/** H264 in a profile that not every client has; all have constrained baseline. */
const isHigh = ({ parameters = {} }: RtpCodecCapability): boolean =>
  String(parameters['profile-level-id']).startsWith('64');

/** The codecs of a kind with their RTX, those for which `wanted` says yes. */
const codecsOf = (
  { codecs = [] }: RtpCapabilities,
  kind: MediaKind,
  wanted: (codec: RtpCodecCapability) => boolean,
): RtpCodecParameters[] => {
  const media = codecs.filter((codec) => codec.kind === kind && !isRtx(codec) && wanted(codec));
  const payloadTypes = new Set<unknown>(media.map(({ preferredPayloadType }) => preferredPayloadType));
  return codecs
    .filter((codec) => media.includes(codec) || (isRtx(codec) && payloadTypes.has(codec.parameters?.apt)))
    .map(parametersOf);
};

/** What the router knows by its carrier is offered by its name. */
const withEvents = (codec: RtpCodecParameters): RtpCodecParameters =>
  codecName(codec) === EVENT_CARRIER ? { ...codec, mimeType: `audio/${TELEPHONE_EVENT}`, rtcpFeedback: [] } : codec;

const inStereo = (codec: RtpCodecParameters): RtpCodecParameters =>
  codecName(codec) === 'opus' ? { ...codec, parameters: { ...codec.parameters, ...STEREO } } : codec;

const parametersOf = ({
  mimeType,
  preferredPayloadType,
  clockRate,
  channels = 1,
  parameters = {},
  rtcpFeedback = [],
}: RtpCodecCapability): RtpCodecParameters => ({
  mimeType,
  payloadType: preferredPayloadType,
  clockRate,
  // mediasoup knows channels on audio only.
  ...(mimeType.startsWith('audio/') ? { channels } : {}),
  parameters,
  rtcpFeedback,
});

const extensionsOf = (
  { headerExtensions = [] }: RtpCapabilities,
  kind: MediaKind,
  directions: readonly RtpHeaderExtension['direction'][],
): RtpHeaderExtensionParameters[] =>
  headerExtensions
    .filter((extension) => extension.kind === kind && extension.uri !== PACKET_ID)
    .filter(({ direction }) => directions.includes(direction))
    .map(({ uri, preferredId }) => ({ uri, id: preferredId }));

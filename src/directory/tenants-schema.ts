import { type Static, Type } from 'typebox';

const exact = { additionalProperties: false } as const;
const id = (pattern: RegExp, form: string) =>
  Type.Refine(
    Type.String(),
    (value) => pattern.test(value),
    () => `must be ${form}`,
  );
const name = id(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 letters, digits, _ or -');
const integer = (minimum: number, maximum: number, value: number) => Type.Integer({ minimum, maximum, default: value });

const SOCKET_URL = 'a wss:// URL without user and fragment (or ws:// on this machine)';

function isSocketUrl(value: string): boolean {
  const url = URL.parse(value);
  if (url === null || url.username || url.password || url.hash) return false;
  return url.protocol === 'wss:' || url.protocol === 'ws:';
}

const ApiKey = Type.Object(
  {
    id: id(/^[a-z0-9-]{1,64}$/, '1 to 64 of a-z, 0-9 and -'),
    sha256: id(/^[0-9a-f]{64}$/i, 'the 64 hexadecimal digits of the SHA-256 of the whole key'),
    scopes: Type.Array(Type.Enum(['CREATE_CALL_TOKEN', 'READ_CALL_TOKEN', 'END_CALL']), { uniqueItems: true }),
  },
  exact,
);

const Flow = Type.Object(
  {
    id: name,
    state: Type.Enum(['live', 'paused', 'archived']),
    /** Ends running sessions as well when the flow stops being live. */
    end_sessions: Type.Boolean({ default: false }),
  },
  exact,
);

/** One endpoint of the tenants file. */
export const EndpointSchema = Type.Object(
  {
    id: id(/^ep_[A-Za-z0-9_-]{1,64}$/, 'ep_ and 1 to 64 letters, digits, _ or -'),
    flow: name,
    webrtc: Type.Boolean({ default: false }),
    state: Type.Enum(['enabled', 'disabled'], { default: 'enabled' }),
    target: Type.Object(
      {
        kind: Type.Enum(['echo', 'room', 'stream', 'rtp']),
        url: Type.Optional(Type.Refine(Type.String({ maxLength: 2048 }), isSocketUrl, () => `must be ${SOCKET_URL}`)),
        format: Type.Optional(Type.Enum(['media-streams'])),
        connect_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 60 })),
        reconnect_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 300 })),
      },
      exact,
    ),
    media: Type.Object(
      {
        audio: Type.Boolean({ default: true }),
        video: Type.Optional(Type.Boolean()),
        simulcast: Type.Optional(Type.Boolean()),
        stereo: Type.Boolean({ default: false }),
        video_codec: Type.Optional(Type.Enum(['VP8', 'H264', 'VP9', 'AV1'])),
      },
      { ...exact, default: {} },
    ),
    max_sessions: integer(1, 100_000, 100),
    max_duration_seconds: integer(1, 86_400, 3600),
    allowed_origins: Type.Array(Type.String({ maxLength: 300 }), { maxItems: 100, default: ['*'] }),
  },
  exact,
);

const Team = Type.Object(
  {
    id: name,
    features: Type.Object({ webrtc: Type.Boolean({ default: false }) }, { ...exact, default: {} }),
    mint_rate: Type.Object(
      { limit: integer(1, 1_000_000, 100), window_seconds: integer(1, 86_400, 60) },
      { ...exact, default: {} },
    ),
    api_keys: Type.Array(ApiKey, { maxItems: 1000, default: [] }),
    flows: Type.Array(Flow, { maxItems: 1000, default: [] }),
    endpoints: Type.Array(EndpointSchema, { maxItems: 10_000, default: [] }),
  },
  exact,
);

/** The tenants file; `config/tenants.yaml` explains the same keys to people. */
export const TenantsSchema = Type.Object({ teams: Type.Array(Team, { minItems: 1, maxItems: 10_000 }) }, exact);

export type Tenants = Static<typeof TenantsSchema>;
export type TeamEntry = Static<typeof Team>;
export type EndpointEntry = Static<typeof EndpointSchema>;

/** Where nothing is said, everywhere but where an application answers, which hears sound alone. */
export const hasVideo = ({ target, media }: Pick<EndpointEntry, 'target' | 'media'>): boolean =>
  media.video ?? target.kind !== 'stream';

/** mediasoup takes simulcast of these codecs; a section that offers layers offers only them. */
export const canSimulcast = (endpoint: Pick<EndpointEntry, 'target' | 'media'>): boolean => {
  const { video_codec = 'VP8' } = endpoint.media;
  return hasVideo(endpoint) && (video_codec === 'VP8' || video_codec === 'H264');
};

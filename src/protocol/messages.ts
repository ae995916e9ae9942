import { type Static, Type } from 'typebox';
import { CLOSE_CODES, END_REASONS } from './codes.ts';
import { fitsContent } from './limits.ts';

const exact = { additionalProperties: false } as const;
const literals = <const T extends readonly string[]>(values: T) => Type.Enum<[...T]>([...values]);

/** Longest encoded call token that is looked at, in characters. */
export const MAX_TOKEN_LENGTH = 2048;

const Direction = literals(['sendrecv', 'sendonly', 'recvonly', 'none']);

/** What the client wants of each kind, in the client's view; an absent kind is all that the endpoint allows. */
const Media = Type.Object(
  { audio: Type.Optional(Direction), video: Type.Optional(Direction), data: Type.Optional(Direction) },
  exact,
);

const Id = Type.String({ minLength: 1, maxLength: 128 });

/** RFC 8122 section 5, sha-256 only: 32 colon-separated octets. */
const Fingerprint = Type.String({ pattern: '^[sS][hH][aA]-256 [0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}$' });

const Start = Type.Object(
  {
    type: Type.Literal('start'),
    endpoint_id: Id,
    token: Type.String({ minLength: 1, maxLength: 16_384 }),
    media: Type.Optional(Media),
    dtls_fingerprint: Type.Optional(Fingerprint),
    fresh: Type.Optional(Type.Boolean()),
  },
  exact,
);

const Resume = Type.Object(
  {
    type: Type.Literal('resume'),
    session_id: Id,
    ticket: Type.String({ minLength: 1, maxLength: 128 }),
    fresh: Type.Optional(Type.Boolean()),
  },
  exact,
);

const Answer = Type.Object({ type: Type.Literal('answer'), offer_id: Id, sdp: Type.String({ minLength: 1 }) }, exact);

/** An RTCIceCandidateInit, or null for end-of-candidates; accepted and not needed (mediasoup is ICE-lite). */
const Candidate = Type.Object(
  {
    type: Type.Literal('candidate'),
    candidate: Type.Union([
      Type.Null(),
      Type.String({ maxLength: 1024 }),
      Type.Object(
        {
          candidate: Type.Optional(Type.String({ maxLength: 1024 })),
          sdpMid: Type.Optional(Type.Union([Type.Null(), Type.String({ maxLength: 64 })])),
          sdpMLineIndex: Type.Optional(Type.Union([Type.Null(), Type.Integer({ minimum: 0, maximum: 65_535 })])),
          usernameFragment: Type.Optional(Type.Union([Type.Null(), Type.String({ maxLength: 256 })])),
        },
        exact,
      ),
    ]),
  },
  exact,
);

const ChangeMedia = Type.Object({ type: Type.Literal('media'), media: Media }, exact);
const RestartIce = Type.Object({ type: Type.Literal('restart_ice') }, exact);
/** Keys that the client pressed, for the application; in order. */
const Dtmf = Type.Object({ type: Type.Literal('dtmf'), digits: Type.String({ pattern: '^[0-9*#A-D]{1,32}$' }) }, exact);
const Content = Type.Refine(Type.Unknown(), fitsContent, () => 'must be of at most 4 KiB');
const Message = Type.Object({ type: Type.Literal('message'), content: Content }, exact);
const Hangup = Type.Object({ type: Type.Literal('hangup') }, exact);

/** One schema per client message, by its `type`. */
export const CLIENT_MESSAGES = {
  start: Start,
  resume: Resume,
  answer: Answer,
  candidate: Candidate,
  media: ChangeMedia,
  restart_ice: RestartIce,
  dtmf: Dtmf,
  message: Message,
  hangup: Hangup,
} as const;

const SessionInfo = Type.Object(
  {
    id: Id,
    endpoint_id: Id,
    expires_at: Type.String(),
    expires_in_ms: Type.Integer({ minimum: 0 }),
    ticket: Type.String(),
    /** How long the session waits for a client that lost its socket. */
    grace_ms: Type.Integer({ minimum: 0 }),
  },
  exact,
);

const Track = Type.Object(
  { mid: Type.String(), kind: literals(['audio', 'video']), participant: Type.String() },
  exact,
);

/** What becomes of the connection to the application that answers the call. */
const State = literals(['connecting', 'connected', 'reconnecting']);

/** One schema per server message, by its `type`. */
export const SERVER_MESSAGES = {
  offer: Type.Object(
    {
      type: Type.Literal('offer'),
      offer_id: Id,
      sdp: Type.String(),
      session: SessionInfo,
      fresh: Type.Optional(Type.Literal(true)),
    },
    exact,
  ),
  resumed: Type.Object({ type: Type.Literal('resumed'), session: SessionInfo }, exact),
  live: Type.Object({ type: Type.Literal('live') }, exact),
  application: Type.Object({ type: Type.Literal('application'), state: State }, exact),
  message: Message,
  tracks: Type.Object({ type: Type.Literal('tracks'), tracks: Type.Array(Track) }, exact),
  expiring: Type.Object({ type: Type.Literal('expiring'), expires_in_ms: Type.Integer({ minimum: 0 }) }, exact),
  ended: Type.Object({ type: Type.Literal('ended'), reason: literals(END_REASONS) }, exact),
  error: Type.Object(
    {
      type: Type.Literal('error'),
      code: literals(Object.keys(CLOSE_CODES) as (keyof typeof CLOSE_CODES)[]),
      message: Type.String(),
      retryable: Type.Boolean(),
    },
    exact,
  ),
} as const;

type MessageOf<Schemas extends Record<string, Type.TSchema>> = {
  [K in keyof Schemas]: Static<Schemas[K]>;
}[keyof Schemas];

export type ClientMessage = MessageOf<typeof CLIENT_MESSAGES>;
/** What a session hears of its client. */
export type SessionMessage = Exclude<ClientMessage, { type: 'start' | 'resume' | 'candidate' }>;
export type ServerMessage = MessageOf<typeof SERVER_MESSAGES>;
export type StartMessage = Static<typeof Start>;
export type ResumeMessage = Static<typeof Resume>;
/** What the first message of a client can be. */
export type FirstMessage = StartMessage | ResumeMessage;
export type MediaDirection = Static<typeof Direction>;
export type WantedMedia = Static<typeof Media>;
export type SessionInfo = Static<typeof SessionInfo>;
export type ApplicationState = Static<typeof State>;
export type Track = Static<typeof Track>;

import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { CLOSE_CODES } from '../../protocol/codes.ts';
import { CLIENT_MESSAGES, SERVER_MESSAGES, type ServerMessage, type SessionMessage } from '../../protocol/messages.ts';
import type { OpenRequest, ResumeRequest } from '../../session/client.ts';

/** Versions of the protocol that this release speaks, newest first: its own and the one before. */
export const VERSIONS: readonly number[] = [1];

/** Longest frame, in bytes: an offer or an answer of the largest room fits in. */
export const MAX_FRAME_BYTES = 1024 * 1024;

const id = Type.String({ minLength: 1, maxLength: 128 });
const text = Type.String({ maxLength: 1024 });
const nonce = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });
const stream = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const context = Type.Object({ request_id: id, peer: Type.String({ maxLength: 128 }) });
const fingerprint = Type.String({ maxLength: 128 });

const media = CLIENT_MESSAGES.media.properties.media;

const OpenSchema: Type.TSchema = Type.Object({
  sessionId: id,
  tokenId: id,
  endpointId: id,
  team: id,
  media,
  fresh: Type.Boolean(),
  fingerprint: Type.Optional(fingerprint),
  foreign: Type.Optional(
    Type.Object({
      team: id,
      issuedAt: Type.Integer(),
      expiresAt: Type.Integer(),
      maxDurationSeconds: Type.Number({ minimum: 0 }),
      fingerprint: Type.Optional(fingerprint),
    }),
  ),
  context,
});

const ResumeSchema: Type.TSchema = Type.Object({
  sessionId: id,
  ticket: Type.String({ maxLength: 128 }),
  fresh: Type.Boolean(),
  origin: Type.Optional(Type.String({ maxLength: 4096 })),
  context,
});

const { start: _start, resume: _resume, candidate: _candidate, ...said } = CLIENT_MESSAGES;
const SaidSchema: Type.TSchema = Type.Union(Object.values(said));
const ToldSchema: Type.TSchema = Type.Union(Object.values(SERVER_MESSAGES));

const HelloSchema = Type.Object({
  type: Type.Literal('hello'),
  id,
  nonce,
  versions: Type.Array(Type.Integer(), { minItems: 1, maxItems: 16 }),
});
const WelcomeSchema = Type.Object({
  type: Type.Literal('welcome'),
  id,
  nonce,
  version: Type.Integer(),
  proof: nonce,
});
const ProofSchema = Type.Object({ type: Type.Literal('proof'), proof: nonce });

export type Hello = Static<typeof HelloSchema>;
export type Welcome = Static<typeof WelcomeSchema>;
export type Proof = Static<typeof ProofSchema>;

/** What a node says of itself on a link. */
const LoadSchema = Type.Object({
  type: Type.Literal('load'),
  capacity: Type.Integer({ minimum: 0 }),
  calls: Type.Integer({ minimum: 0 }),
  load: Type.Number({ minimum: 0 }),
});
export type Load = Static<typeof LoadSchema>;

/** From the gateway: about one client each, which `stream` stands for. */
export type GatewayFrame =
  | { type: 'open'; stream: number; request: OpenRequest }
  | { type: 'resume'; stream: number; request: ResumeRequest }
  | { type: 'said'; stream: number; message: SessionMessage }
  | { type: 'unusable'; stream: number; message: string }
  | { type: 'lost'; stream: number };

/** From the node. */
export type NodeFrame =
  | { type: 'opened'; stream: number }
  | { type: 'refused'; stream: number; code: string; message: string; retryable: boolean; elsewhere?: string }
  | { type: 'tell'; stream: number; message: ServerMessage }
  | { type: 'shut'; stream: number; code: number }
  | Load;

const frame = (type: string, fields: Type.TProperties) => Type.Object({ type: Type.Literal(type), stream, ...fields });

const GATEWAY_FRAMES = {
  open: frame('open', { request: OpenSchema }),
  resume: frame('resume', { request: ResumeSchema }),
  said: frame('said', { message: SaidSchema }),
  unusable: frame('unusable', { message: text }),
  lost: frame('lost', {}),
};

const NODE_FRAMES = {
  opened: frame('opened', {}),
  refused: frame('refused', {
    code: Type.Enum(Object.keys(CLOSE_CODES)),
    message: text,
    retryable: Type.Boolean(),
    elsewhere: Type.Optional(id),
  }),
  tell: frame('tell', { message: ToldSchema }),
  shut: frame('shut', { code: Type.Integer({ minimum: 1000, maximum: 4999 }) }),
  load: LoadSchema,
};

/** Reads a frame by its type; undefined for what is none of these. */
function reader<T>(schemas: Record<string, Type.TSchema>): (text: string) => T | undefined {
  const validators = new Map(Object.entries(schemas).map(([type, schema]) => [type, Compile(schema)]));
  return (text) => {
    const said = parse(text);
    const validator = validators.get(String((said as { type?: unknown } | undefined)?.type));
    return validator?.Check(said) ? (said as T) : undefined;
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const readHello = reader<Hello>({ hello: HelloSchema });
export const readWelcome = reader<Welcome>({ welcome: WelcomeSchema });
export const readProof = reader<Proof>({ proof: ProofSchema });
export const readGatewayFrame = reader<GatewayFrame>(GATEWAY_FRAMES);
export const readNodeFrame = reader<NodeFrame>(NODE_FRAMES);

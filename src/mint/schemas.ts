import { type Static, Type } from 'typebox';
import { END_REASONS } from '../protocol/codes.ts';
import { CLIENT_MESSAGES } from '../protocol/messages.ts';

const MAX_METADATA_BYTES = 1024;
const MAX_METADATA_PAIRS = 32;

const exact = { additionalProperties: false } as const;

/** Flat string pairs. Not `Type.Record`, whose pattern for any name leaves out names with a line break. */
const Pairs = Type.Unsafe<Record<string, string>>(
  Type.Object({}, { additionalProperties: Type.String(), maxProperties: MAX_METADATA_PAIRS }),
);

const bytesOf = (pairs: Record<string, string>): number =>
  Object.entries(pairs).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);

const Metadata = Type.Refine(
  Pairs,
  (pairs) => bytesOf(pairs) <= MAX_METADATA_BYTES,
  () => `must be at most ${MAX_METADATA_BYTES} bytes, names and values together`,
);

/** Body of `POST /v1/call-tokens`. `endpoint_id` is required, but its absence has a code of its own. */
export const MintRequest = Type.Object(
  {
    endpoint_id: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    ttl_seconds: Type.Optional(Type.Integer({ minimum: 5, maximum: 600 })),
    max_duration_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
    metadata: Type.Optional(Metadata),
    dtls_fingerprint: CLIENT_MESSAGES.start.properties.dtls_fingerprint,
  },
  exact,
);

/** A fresh call token. Times are RFC 3339 in UTC. */
export const MintedToken = Type.Object({
  id: Type.String(),
  token: Type.String(),
  endpoint_id: Type.String(),
  status: Type.Literal('issued'),
  created_at: Type.String(),
  expires_at: Type.String(),
  max_duration_seconds: Type.Integer(),
  ws_url: Type.String(),
});

/** The record of a call token; `session` once burned, with nulls for what is not known before its end. */
export const TokenRecord = Type.Object({
  id: Type.String(),
  endpoint_id: Type.String(),
  status: Type.Enum(['issued', 'active', 'completed', 'revoked', 'expired']),
  created_at: Type.String(),
  expires_at: Type.String(),
  max_duration_seconds: Type.Integer(),
  metadata: Pairs,
  session: Type.Optional(
    Type.Object({
      id: Type.String(),
      started_at: Type.String(),
      expires_at: Type.String(),
      ended_at: Type.Union([Type.String(), Type.Null()]),
      end_reason: Type.Union([Type.Enum([...END_REASONS] as unknown as typeof END_REASONS), Type.Null()]),
    }),
  ),
});

export type MintRequest = Static<typeof MintRequest>;
export type MintedToken = Static<typeof MintedToken>;
export type TokenRecord = Static<typeof TokenRecord>;

import { type Static, Type } from 'typebox';
import { HTTP_PROBLEMS, type HttpErrorCode } from '../errors.ts';
import { END_REASONS } from '../protocol/codes.ts';
import { CLIENT_MESSAGES } from '../protocol/messages.ts';
import { CALL_TOKEN_STATUSES } from '../tokens/store.ts';

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

const Ttl = Type.Integer({ minimum: 5, maximum: 600, description: 'Seconds in which the token must be presented.' });
const EndpointId = Type.String({ minLength: 1, maxLength: 128 });
const Status = Type.Enum([...CALL_TOKEN_STATUSES] as unknown as typeof CALL_TOKEN_STATUSES);

/** Body of `POST /v1/call-tokens`. `endpoint_id` is required, but its absence has a code of its own. */
export const MintRequest = Type.Object(
  {
    endpoint_id: Type.Optional(EndpointId),
    ttl_seconds: Type.Optional(Ttl),
    max_duration_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
    metadata: Type.Optional(Metadata),
    dtls_fingerprint: CLIENT_MESSAGES.start.properties.dtls_fingerprint,
  },
  exact,
);

/** Body of a refresh; an empty one is as good. */
export const RefreshRequest = Type.Object({ ttl_seconds: Type.Optional(Ttl) }, exact);

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[\\x20-\\x7e]*$',
      description: 'Equal requests with the same key within 10 minutes give the same token.',
    }),
  ),
});

export const TokenParams = Type.Object({ id: Type.String({ description: 'Id of a call token.' }) });

export const ListQuery = Type.Object(
  {
    endpoint_id: Type.Optional(EndpointId),
    status: Type.Optional(Status),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'The next_cursor of the page before.' }),
    ),
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
  status: Status,
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

/** A page of records; it may be short, even empty, while `next_cursor` says that there is more. */
export const TokenList = Type.Object({
  data: Type.Array(TokenRecord),
  next_cursor: Type.Union([Type.String(), Type.Null()]),
});

export const NoContent = Type.Null({ description: 'Done; there is no body.' });

/** A problem document (RFC 9457) with the members that are callgate's own. */
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.Optional(Type.String()),
  code: Type.Enum(Object.keys(HTTP_PROBLEMS) as HttpErrorCode[]),
  request_id: Type.String(),
});

/** The refusals that a route may answer, as response schemas: one problem document a status. */
export function problems<const Codes extends readonly HttpErrorCode[]>(...codes: Codes) {
  const statuses = new Set(codes.map((code) => HTTP_PROBLEMS[code][0]));
  return Object.fromEntries(
    [...statuses].map((status) => {
      const of = codes.filter((code) => HTTP_PROBLEMS[code][0] === status);
      return [status, { description: of.join(', '), content: { 'application/problem+json': { schema: Problem } } }];
    }),
  );
}

export type MintRequest = Static<typeof MintRequest>;
export type MintedToken = Static<typeof MintedToken>;
export type TokenRecord = Static<typeof TokenRecord>;
export type RefreshRequest = Static<typeof RefreshRequest>;
export type ListQuery = Static<typeof ListQuery>;
export type TokenList = Static<typeof TokenList>;
export type Problem = Static<typeof Problem>;

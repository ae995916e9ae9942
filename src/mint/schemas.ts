import { type Static, Type } from 'typebox';
import { HTTP_PROBLEMS, type HttpErrorCode } from '../errors.ts';
import { Problem, problemOf } from '../http/problem.ts';
import { END_REASONS } from '../protocol/codes.ts';
import { CLIENT_MESSAGES } from '../protocol/messages.ts';
import { CALL_TOKEN_STATUSES } from '../store/store.ts';

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
const EndpointId = Type.String({ minLength: 1, maxLength: 128, examples: ['ep_echo'] });
const Time = Type.String({ format: 'date-time' });
const Status = Type.Enum([...CALL_TOKEN_STATUSES] as unknown as typeof CALL_TOKEN_STATUSES);

const titled = (title: string, description: string) => ({ title, description });

/** Body of `POST /v1/call-tokens`. `endpoint_id` is required, but its absence has a code of its own. */
export const MintRequest = Type.Object(
  {
    endpoint_id: Type.Optional(EndpointId),
    ttl_seconds: Type.Optional(Ttl),
    max_duration_seconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: "Longest session in seconds; at most, and by default, the endpoint's limit.",
      }),
    ),
    metadata: Type.Optional(Metadata),
    dtls_fingerprint: CLIENT_MESSAGES.start.properties.dtls_fingerprint,
  },
  { ...exact, ...titled('MintRequest', 'What the call may be.') },
);

/** Body of a refresh; an empty one is as good. */
export const RefreshRequest = Type.Object(
  { ttl_seconds: Type.Optional(Ttl) },
  { ...exact, ...titled('RefreshRequest', 'An empty body is as good.') },
);

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[\\x20-\\x7e]*$',
      examples: ['b0c9f1de-7a52-4a4e-9d55-3a3f0f6f7c11'],
      description: 'Equal requests with the same key within 10 minutes give the same token.',
    }),
  ),
});

export const TokenParams = Type.Object({
  id: Type.String({
    description: 'Id of a call token.',
    examples: ['ct_5b2f0c9d8e7a6b5c4d3e2f10_0f1e2d3c4b5a69788796a5b4c3d2e1f0'],
  }),
});

export const ListQuery = Type.Object(
  {
    endpoint_id: Type.Optional(EndpointId),
    status: Type.Optional(Status),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20, examples: [50] })),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'The next_cursor of the page before.' }),
    ),
  },
  exact,
);

/** A fresh call token. Times are RFC 3339 in UTC. */
export const MintedToken = Type.Object(
  {
    id: Type.String(),
    token: Type.String({ description: 'A secret: whoever presents it first has the call.' }),
    endpoint_id: Type.String(),
    status: Type.Literal('issued'),
    created_at: Time,
    expires_at: Time,
    max_duration_seconds: Type.Integer(),
    ws_url: Type.String({ description: 'Where the client presents the token.' }),
  },
  titled('MintedToken', 'A fresh call token.'),
);

/** The record of a call token; `session` once burned, with nulls for what is not known before its end. */
export const TokenRecord = Type.Object(
  {
    id: Type.String(),
    endpoint_id: Type.String(),
    status: Status,
    created_at: Time,
    expires_at: Time,
    max_duration_seconds: Type.Integer(),
    metadata: Pairs,
    session: Type.Optional(
      Type.Object({
        id: Type.String(),
        started_at: Time,
        expires_at: Time,
        ended_at: Type.Union([Time, Type.Null()]),
        end_reason: Type.Union([Type.Enum([...END_REASONS] as unknown as typeof END_REASONS), Type.Null()]),
      }),
    ),
  },
  titled('TokenRecord', 'What became of a call token; `session` once it was burned.'),
);

/** A page of records; it may be short, even empty, while `next_cursor` says that there is more. */
export const TokenList = Type.Object(
  {
    data: Type.Array(TokenRecord),
    next_cursor: Type.Union([Type.String(), Type.Null()], { description: 'Null at the end of the list.' }),
  },
  titled('TokenList', 'A page of records.'),
);

export const NoContent = Type.Null({ description: 'Done; there is no body.' });

const exampleOf = (code: HttpErrorCode) => ({
  summary: HTTP_PROBLEMS[code][1],
  value: problemOf(code, 'req_6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b'),
});

/** The refusals that a route may answer, as response schemas: one problem document a status. */
export function problems<const Codes extends readonly HttpErrorCode[]>(...codes: Codes) {
  const statuses = new Set(codes.map((code) => HTTP_PROBLEMS[code][0]));
  return Object.fromEntries(
    [...statuses].map((status) => {
      const of = codes.filter((code) => HTTP_PROBLEMS[code][0] === status);
      const description = of.map((code) => `\`${code}\``).join(', ');
      const examples = Object.fromEntries(of.map((code) => [code, exampleOf(code)]));
      return [status, { description, content: { 'application/problem+json': { schema: Problem, examples } } }];
    }),
  );
}

export const Health = Type.Object({ status: Type.Literal('live') }, titled('Health', 'The process runs.'));

export const Readiness = Type.Object(
  {
    status: Type.Enum(['ready', 'not_ready']),
    checks: Type.Unsafe<Record<string, boolean>>(Type.Object({}, { additionalProperties: Type.Boolean() })),
    shards_away: Type.Optional(
      Type.Array(Type.String(), { description: 'Shards of a Redis Cluster that take no writes, by their slots.' }),
    ),
  },
  titled('Readiness', 'What a call needs, and whether it is there.'),
);

export const KeySet = {
  description: 'A JWK set (RFC 7517 section 5).',
  content: {
    'application/jwk-set+json': {
      schema: Type.Object(
        {
          keys: Type.Array(Type.Object({ kty: Type.String(), kid: Type.String(), alg: Type.Enum(['EdDSA', 'ES256']) })),
        },
        titled('KeySet', 'A JWK set (RFC 7517 section 5).'),
      ),
    },
  },
};

export type MintRequest = Static<typeof MintRequest>;
export type MintedToken = Static<typeof MintedToken>;
export type TokenRecord = Static<typeof TokenRecord>;
export type RefreshRequest = Static<typeof RefreshRequest>;
export type ListQuery = Static<typeof ListQuery>;
export type TokenList = Static<typeof TokenList>;

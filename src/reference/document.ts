import { OPERATIONS, type Operation, type OperationId } from './operations.ts';

/** The parts of an OpenAPI 3.1 document that are looked at here. */
export interface Document {
  info: { title: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Described>>;
  components: { schemas: Record<string, Schema> };
}

export interface Described {
  operationId: OperationId;
  summary: string;
  description: string;
  tags: string[];
  /** Empty where no key is needed. */
  security: object[];
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, Media> };
  responses: Record<string, { description: string; headers?: object; content?: Record<string, Media> }>;
  'x-codeSamples'?: { lang: string; label: string; source: string }[];
}

export interface Parameter {
  in: string;
  name: string;
  required?: boolean;
  description?: string;
  schema: Schema;
}

export interface Media {
  schema: Schema;
  examples?: Record<string, { summary: string; value: unknown }>;
}

export interface Schema {
  $ref?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  [keyword: string]: unknown;
}

/** All of the document that no route says. */
export const frame = (publicUrl: string | undefined) => ({
  openapi: '3.1.0',
  info: {
    title: 'callgate',
    version: '1',
    description:
      'One token, one call: your backend mints a call token, a client presents it over a WebSocket, and it buys exactly ' +
      'one WebRTC call. These are the calls for your backend; a request that carries an `Origin` is refused, because ' +
      'minting never happens in a page.\n\nEvery answer has an `X-Request-Id`. Refusals are RFC 9457 problem documents ' +
      'with a `code` to act on. Times are RFC 3339 in UTC. For machines all of this is at ' +
      '[/openapi.json](/openapi.json). What a client does with its token is in `callgate-client`, the SDK, and in docs/protocol.md.',
    license: { name: 'ISC', identifier: 'ISC' },
  },
  servers: [{ url: publicUrl ?? '/', description: 'This server' }],
  tags: [
    { name: 'Call tokens', description: 'Minting, and what became of it.' },
    { name: 'Status', description: 'For load balancers and verifiers; no key is needed.' },
  ],
  components: {
    securitySchemes: {
      apiKey: {
        type: 'http',
        scheme: 'bearer',
        bearerFormat: 'cgk_<key id>_<secret>',
        description: 'An API key of your team. It says who asks, and its scopes say what may be asked.',
      },
    },
    headers: {
      RequestId: {
        description: 'Id of this request; every log line about it has it.',
        schema: { type: 'string', pattern: '^req_' },
      },
      RateLimit: {
        description: 'Mints that are left in this window (`r`) and the seconds until it ends (`t`).',
        schema: { type: 'string', examples: ['"mint";r=99;t=60'] },
      },
      RateLimitPolicy: {
        description: "The team's mint rate: `q` mints in `w` seconds.",
        schema: { type: 'string', examples: ['"mint";q=100;w=60'] },
      },
      RetryAfter: { description: 'Seconds until another try makes sense.', schema: { type: 'integer', minimum: 0 } },
      Authenticate: { description: 'How to authenticate (RFC 6750).', schema: { type: 'string' } },
    },
  },
});

/** Lays examples, headers and names over the document that was generated from the routes. */
export function finish(generated: object): Document {
  const { paths, components, ...rest } = generated as Document;
  for (const path of Object.values(paths)) for (const described of Object.values(path)) describe(described);
  const schemas: Record<string, Schema> = {};
  const named = nameSchemas(paths, schemas) as Document['paths'];
  return { ...rest, paths: named, components: { ...components, schemas } };
}

function describe(described: Described): void {
  const { requests, responses, samples }: Operation = OPERATIONS[described.operationId];
  described['x-codeSamples'] = [
    { lang: 'Shell', label: 'curl', source: samples.curl },
    { lang: 'JavaScript', label: 'JavaScript', source: samples.javascript },
  ];
  for (const parameter of described.parameters ?? []) {
    // Fastify wants it in lower case; people do not.
    if (parameter.in === 'header')
      parameter.name = parameter.name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
  }
  const body = described.requestBody;
  const media = body?.content['application/json'];
  if (body && media && requests) {
    // The schema that validates leaves it out, because its absence has a code of its own.
    body.required = 'endpoint_id' in (media.schema.properties ?? {});
    if (body.required) Object.assign(media.schema, { required: ['endpoint_id'] });
    media.examples = requests;
  }
  for (const [status, response] of Object.entries(described.responses)) {
    const said = responses[Number(status)];
    if (said) response.description = said.description;
    for (const media of Object.values(response.content ?? {})) if (said?.examples) media.examples = said.examples;
    response.headers = headersOf(Number(status), described);
  }
}

function headersOf(status: number, { operationId, security }: Described): object {
  const mints = operationId === 'mintCallToken' || operationId === 'refreshCallToken';
  // Mints are counted once the key and its scope are known.
  const counted = mints && ![401, 403, 503].includes(status);
  const names = {
    'X-Request-Id': 'RequestId',
    ...(counted && { RateLimit: 'RateLimit', 'RateLimit-Policy': 'RateLimitPolicy' }),
    ...(security.length > 0 && [429, 503].includes(status) && { 'Retry-After': 'RetryAfter' }),
    ...(status === 401 && { 'WWW-Authenticate': 'Authenticate' }),
  };
  return Object.fromEntries(
    Object.entries(names).map(([name, component]) => [name, { $ref: `#/components/headers/${component}` }]),
  );
}

/** Moves every schema that has a title to the components, so that each is there once, under its name. */
function nameSchemas(node: unknown, schemas: Record<string, Schema>, isSchema = false): unknown {
  if (Array.isArray(node)) return node.map((item) => nameSchemas(item, schemas, isSchema));
  if (typeof node !== 'object' || node === null) return node;
  const copy = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key,
      // Examples are values, not schemas.
      key === 'examples' ? value : nameSchemas(value, schemas, isSchema || key === 'schema'),
    ]),
  );
  if (!isSchema || typeof copy.title !== 'string') return copy;
  schemas[copy.title] = copy;
  return { $ref: `#/components/schemas/${copy.title}` };
}

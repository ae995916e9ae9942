import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Compile } from 'typebox/schema';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CallgateError, type HttpErrorCode } from '../../src/errors.ts';
import type { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { KEY, MINT_ONLY, OFF_KEY, READ_ONLY, startApi, type TestApi } from '../support/api.ts';
import { ROOT } from '../support/code-blocks.ts';

const run = promisify(execFile);

interface Media {
  schema: { $ref?: string };
  examples: Record<string, { value: unknown }>;
}
interface Operation {
  operationId: string;
  description: string;
  security: object[];
  tags: string[];
  'x-codeSamples': { label: string; source: string }[];
  parameters?: { name: string; in: string; example?: unknown; schema: object }[];
  requestBody?: { required: boolean; content: Record<string, Media> };
  responses: Record<string, { description: string; headers: Record<string, unknown>; content?: Record<string, Media> }>;
}
interface Documented {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  tags: { name: string }[];
  components: { schemas: Record<string, object>; securitySchemes: object; headers: object };
}
type Call = { method: string; path: string; operation: Operation };

const api = await startApi({ demoKey: KEY });
afterAll(() => api[Symbol.asyncDispose]());
const response = await fetch(`${api.url}/openapi.json`);
const document = (await response.json()) as Documented;
const calls: Call[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
);
const backendCalls = calls.filter(({ operation }) => operation.security.length > 0);

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1 to an independent validator', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(document) as unknown as Record<string, unknown>);
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  it('tells of the calls for backends and the status, and of nothing else', () => {
    expect(calls.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      'DELETE /v1/call-tokens/{id}',
      'GET /.well-known/jwks.json',
      'GET /healthz',
      'GET /readyz',
      'GET /v1/call-tokens',
      'GET /v1/call-tokens/{id}',
      'POST /v1/call-tokens',
      'POST /v1/call-tokens/{id}/refresh',
    ]);
  });

  it('names each operation once, describes it and its answers, and gives examples', () => {
    expect(new Set(calls.map(({ operation }) => operation.operationId)).size).toBe(calls.length);
    for (const { operation } of calls) {
      expect(operation.description).not.toBe('');
      for (const [status, { description, content = {} }] of Object.entries(operation.responses)) {
        expect(description, `${operation.operationId} ${status}`).not.toBe('Default Response');
        for (const { examples } of Object.values(content)) expect(Object.keys(examples)).not.toEqual([]);
      }
    }
  });

  it('says of each operation which key it needs, or that it needs none', () => {
    const open = calls.filter(({ operation }) => operation.security.length === 0);
    expect(open.map(({ path }) => path).sort()).toEqual(['/.well-known/jwks.json', '/healthz', '/readyz']);
    for (const { operation } of backendCalls) expect(operation.security).toEqual([{ apiKey: [] }]);
    expect(Object.keys(document.components.securitySchemes)).toEqual(['apiKey']);
  });

  it('declares its tags and path parameters, and each component that is used, and no other', () => {
    expect(new Set(calls.flatMap(({ operation }) => operation.tags))).toEqual(
      new Set(document.tags.map(({ name }) => name)),
    );
    for (const { path, operation } of calls) {
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      expect(declared.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
    const used = new Set(
      [...JSON.stringify(document).matchAll(/"#\/components\/(\w+\/\w+)"/g)].map(([, name]) => name),
    );
    const there = (['schemas', 'headers'] as const).flatMap((kind) =>
      Object.keys(document.components[kind]).map((name) => `${kind}/${name}`),
    );
    expect(used).toEqual(new Set(there));
  });

  it('gives examples of schemas and parameters that fit them', () => {
    const misfits = [...examplesIn(document)].flatMap(({ schema, value }) => mismatches({ schema }, value));
    expect(misfits).toEqual([]);
    expect([...examplesIn(document)].length).toBeGreaterThan(3);
  });

  it('answers other methods than GET with what it takes', async () => {
    const refused = await fetch(`${api.url}/openapi.json`, { method: 'POST' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'HEAD, GET, OPTIONS']);
  });
});

describe('every documented example', () => {
  const examples = calls.flatMap(({ operation }) =>
    Object.entries(operation.responses).flatMap(([status, { content = {} }]) =>
      Object.entries(content).flatMap(([type, media]) =>
        Object.entries(media.examples).map(([name, { value }]) => ({
          title: `${operation.operationId} ${status} ${name}`,
          type,
          media,
          value,
        })),
      ),
    ),
  );

  it.each(examples)('$title is of its schema', ({ media, value }) => {
    expect(mismatches(media, value)).toEqual([]);
  });

  const requests = calls.flatMap((call) => {
    const bodies = Object.entries(call.operation.requestBody?.content['application/json']?.examples ?? {});
    const named = bodies.map(([name, { value }]) => ({ ...call, name, body: value }));
    return call.operation.requestBody?.required
      ? named
      : [...named, { ...call, name: 'without a body', body: undefined }];
  });

  it.each(requests)(
    '$operation.operationId, $name, gets the documented answer',
    async ({ operation, body, ...call }) => {
      const answer = await send(api, { ...call, operation, body, id: await issue(api.store, 'ep_echo') });
      const documented = operation.responses[answer.status];
      expect(answer.status).toBeLessThan(300);
      if (!documented) throw new Error(`${answer.status} is not documented`);
      for (const name of Object.keys(documented.headers)) expect(answer.headers.get(name), name).not.toBeNull();
      const [[type, media] = []] = Object.entries(documented.content ?? {});
      if (!type || !media) return expect(await answer.text()).toBe('');
      expect(answer.headers.get('content-type')?.split(';')[0]).toBe(type);
      expect(mismatches(media, await answer.json())).toEqual([]);
    },
  );

  const parameters = calls.flatMap((call) =>
    (call.operation.parameters ?? [])
      .filter((parameter) => parameter.in !== 'path' && parameter.example !== undefined)
      .map((parameter) => ({ ...call, parameter })),
  );

  it.each(parameters)('$operation.operationId takes the $parameter.name', async ({ parameter, ...call }) => {
    const { name, example } = parameter;
    const body =
      call.method === 'POST' ? { ...(call.path.endsWith('/refresh') ? {} : { endpoint_id: 'ep_echo' }) } : undefined;
    const answer = await send(api, {
      ...call,
      body,
      id: await issue(api.store, 'ep_echo'),
      ...(parameter.in === 'query' && { query: `?${name}=${example}` }),
      ...(parameter.in === 'header' && { headers: { [name]: String(example) } }),
    });
    expect(answer.status).toBeLessThan(300);
  });
});

describe('every sample', () => {
  const samples = calls.flatMap(({ operation }) =>
    operation['x-codeSamples'].map(({ label, source }) => ({ operationId: operation.operationId, label, source })),
  );
  const env = { PATH: process.env.PATH, CALLGATE: api.url, CALLGATE_API_KEY: KEY };

  it('is there for curl and for JavaScript', () => {
    expect(samples.map(({ label }) => label)).toEqual(calls.flatMap(() => ['curl', 'JavaScript']));
  });

  it.each(samples)('$operationId in $label is accepted', async ({ label, source }) => {
    const own = { ...env, ID: await issue(api.store, 'ep_echo') };
    if (label === 'curl') {
      const { stdout } = await run('bash', ['-ec', source.replace('curl ', 'curl --fail ')], { env: own });
      expect(stdout).not.toContain('urn:callgate:problem');
    } else {
      const code = source.replace("'callgate/backend'", `'${ROOT}src/backend/index.ts'`);
      await run(process.execPath, ['--input-type=module', '-e', code], { env: own });
    }
  });
});

describe('every documented refusal', () => {
  const failing = (error: () => Error) => (real: MemoryTokenStore) =>
    new Proxy(real, {
      get: (store, name) =>
        name === 'ready'
          ? !(error() instanceof CallgateError)
          : name === 'idempotency'
            ? store.idempotency
            : fails(error),
    });
  const fails = (error: () => Error) =>
    Object.assign(() => Promise.reject(error()), { take: () => Promise.reject(error()) });
  const others: Partial<Record<HttpErrorCode, TestApi>> = {};
  beforeAll(async () => {
    const away = () => new CallgateError('unavailable', { retryable: true });
    others.unavailable = await startApi({ store: failing(away)(api.store) });
    others.internal_error = await startApi({ store: failing(() => new TypeError('a defect'))(api.store) });
    const take = async () => ({ allowed: false, remaining: 0, resetMs: 5000 });
    others.rate_limited = await startApi({
      store: new Proxy(api.store, {
        get: (store, name) => (name === 'mintRate' ? { take } : Reflect.get(store, name, store)),
      }),
    });
  });
  afterAll(async () => {
    for (const other of Object.values(others)) await other[Symbol.asyncDispose]();
  });

  const refusals = backendCalls.flatMap((call) =>
    Object.values(call.operation.responses).flatMap(({ headers, content = {} }) =>
      Object.entries(content['application/problem+json']?.examples ?? {}).map(([code, { value }]) => ({
        ...call,
        code: code as HttpErrorCode,
        headers,
        value: value as object,
      })),
    ),
  );

  it.each(refusals)('$operation.operationId answers $code as documented', async ({ code, headers, value, ...call }) => {
    const isMint = call.operation.operationId === 'mintCallToken';
    const isRead = call.method === 'GET';
    const endpointId = ENDPOINT_OF[code] ?? 'ep_echo';
    const id = code === 'token_not_found' ? newTokenId() : await issue(api.store, isMint ? 'ep_echo' : endpointId);
    const body = isMint ? { endpoint_id: endpointId } : call.method === 'POST' ? {} : undefined;
    let request: Request = { ...call, id, body };
    switch (code) {
      case 'server_to_server_only':
        request.headers = { origin: 'https://page.example' };
        break;
      case 'api_key_missing':
      case 'api_key_invalid':
        request.key = code === 'api_key_missing' ? undefined : 'cgk_full_wrong';
        break;
      case 'scope_missing':
        request.key = isRead ? MINT_ONLY : READ_ONLY;
        break;
      case 'webrtc_disabled':
        request.key = OFF_KEY;
        break;
      case 'body_too_large':
        request.raw = `{"x":"${'x'.repeat(70_000)}"}`;
        break;
      case 'media_type_unsupported':
        request = { ...request, raw: '<x/>', headers: { 'content-type': 'text/xml' } };
        break;
      case 'request_malformed':
        request = isRead ? { ...request, query: '?limit=0', id: '%zz' } : { ...request, raw: '{' };
        break;
      case 'endpoint_missing':
        request.body = {};
        break;
      case 'idempotency_key_reused':
      case 'token_not_issued': {
        request.headers = { 'idempotency-key': newTokenId() };
        const before = await send(api, request);
        const minted = (await before.json()) as { id: string };
        if (code === 'token_not_issued') await api.store.revoke(minted.id);
        else request.body = { ...body, ttl_seconds: 77 };
        break;
      }
    }
    const answer = await send(others[code] ?? api, request);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    const { detail: _, request_id, ...problem } = (await answer.json()) as Record<string, unknown>;
    expect({ ...problem, request_id: expect.any(String) }).toEqual({ ...value, request_id: expect.any(String) });
    expect(request_id).toBe(answer.headers.get('x-request-id'));
    // Those that are counted come with where the team stands; what precedes the count cannot know it.
    const always = Object.keys(headers).filter((name) => !name.startsWith('RateLimit'));
    for (const name of always) expect(answer.headers.get(name), name).not.toBeNull();
  });
});

/** Endpoints of the harness that are as the codes say. */
const ENDPOINT_OF: Partial<Record<HttpErrorCode, string>> = {
  endpoint_unknown: 'ep_gone',
  endpoint_not_webrtc: 'ep_phone',
  endpoint_disabled: 'ep_closed',
  flow_not_live: 'ep_paused',
};

interface Request extends Call {
  id: string;
  key?: string | undefined;
  query?: string;
  headers?: Record<string, string>;
  body?: unknown;
  raw?: string;
}

function send({ url }: TestApi, request: Request): Promise<Response> {
  const { method, path, query = '', headers, body, id } = request;
  const key = 'key' in request ? request.key : KEY;
  const payload = request.raw ?? (body === undefined ? undefined : JSON.stringify(body));
  return fetch(`${url}${path.replace('{id}', id)}${query}`, {
    method,
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(payload !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(payload !== undefined && { body: payload }),
  });
}

async function issue(store: MemoryTokenStore, endpointId: string): Promise<string> {
  const id = newTokenId();
  await store.issue({ id, endpointId, team: 'team_a', ttlSeconds: 60, maxDurationSeconds: 60 });
  return id;
}

/** The examples that stand in schemas, and beside the schemas of parameters. */
function* examplesIn(node: unknown): Generator<{ schema: object; value: unknown }> {
  if (typeof node !== 'object' || node === null) return;
  const { examples, example, schema } = node as { examples?: unknown; example?: unknown; schema?: object };
  if (Array.isArray(examples)) for (const value of examples) yield { schema: node, value };
  if (example !== undefined && schema) yield { schema, value: example };
  for (const value of Object.values(node)) yield* examplesIn(value);
}

/** Why a value is not of a schema, by JSON Schema 2020-12 as OpenAPI 3.1 has it. */
function mismatches({ schema }: { schema: object }, value: unknown): unknown[] {
  const [valid, errors] = Compile({ ...schema, components: document.components }).Errors(value);
  return valid ? [] : errors;
}

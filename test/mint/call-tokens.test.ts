import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CallgateError, type HttpErrorCode } from '../../src/errors.ts';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { ephemeralSigningKeys } from '../../src/tokens/keys.ts';
import { createSigner } from '../../src/tokens/signer.ts';
import { createVerifier } from '../../src/tokens/verifier.ts';
import {
  KEY,
  MINT_ONLY,
  OFF_KEY,
  OFF_READ_ONLY,
  OTHER_KEY,
  READ_ONLY,
  startApi,
  type TestApi,
} from '../support/api.ts';
import { type Call, expectProblem, RFC_3339, send } from '../support/api-calls.ts';
import { HELD } from '../support/held.ts';

const FINGERPRINT = `sha-256 ${Array(32).fill('aB').join(':')}`;

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api[Symbol.asyncDispose]());

const call = (parts: Call, to = api) => send(to, parts);
const mintOne = async (parts: Call = {}) => (await call(parts)).json();
const recordOf = async (id: string, key = KEY) => (await call({ method: 'GET', path: `/${id}`, key })).json();

describe('minting', () => {
  it('answers with a token and all that a client needs to present it', async () => {
    const response = await call({ body: { endpoint_id: 'ep_echo', ttl_seconds: 5, max_duration_seconds: 600 } });
    const minted = await response.json();
    expect(response.status).toBe(201);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-request-id')).toMatch(/^req_/);
    expect(minted).toEqual({
      id: expect.stringMatching(/^ct_[0-9a-f]+_[0-9a-f]+$/),
      token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      endpoint_id: 'ep_echo',
      status: 'issued',
      created_at: expect.stringMatching(RFC_3339),
      expires_at: expect.stringMatching(RFC_3339),
      max_duration_seconds: 600,
      ws_url: `ws://127.0.0.1:${api.port}/v1/connect`,
    });
    expect(Date.parse(minted.expires_at) - Date.parse(minted.created_at)).toBe(5000);
  });

  it('takes the defaults of the settings and of the endpoint', async () => {
    const minted = await mintOne();
    expect(minted.max_duration_seconds).toBe(600);
    expect(Date.parse(minted.expires_at) - Date.parse(minted.created_at)).toBe(60_000);
  });

  it('signs what the record says, bound to the certificate that was named', async () => {
    const keys = await ephemeralSigningKeys();
    await using own = await startApi({ sign: createSigner(keys, 'callgate') });
    const response = await call({ body: { endpoint_id: 'ep_echo', dtls_fingerprint: FINGERPRINT } }, own);
    const minted = await response.json();
    const created = Date.parse(minted.created_at);
    const verify = createVerifier(keys, { issuer: 'callgate', leewaySeconds: 0 });
    const claims = await verify(minted.token, created);
    expect(claims).toEqual({
      id: minted.id,
      endpointId: 'ep_echo',
      team: 'team_a',
      iat: Math.floor(created / 1000),
      exp: Math.ceil(Date.parse(minted.expires_at) / 1000),
      fingerprint: FINGERPRINT.toUpperCase().replace('SHA', 'sha'),
    });
  });

  it.each([
    ['its own public URL', { public_url: 'https://calls.example/base/' }, {}, 'wss://calls.example/base/v1/connect'],
    ['plain HTTP, whatever a client claims', {}, { 'x-forwarded-proto': 'https' }, /^ws:\/\/127\.0\.0\.1:\d+\//],
    [
      'what a trusted proxy says',
      { trusted_proxies: 1 },
      { 'x-forwarded-proto': 'https' },
      /^wss:\/\/127\.0\.0\.1:\d+\//,
    ],
  ])('names a ws_url by %s', async (_, http, headers, expected) => {
    await using own = await startApi({ http });
    const minted = await (await call({ headers }, own)).json();
    expect(minted.ws_url).toMatch(expected);
  });

  it('keeps 32 pairs of metadata, and 1 KiB of it', async () => {
    const many = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`k${i}`, `ü${i}`]));
    const large = { 'a\nb': 'é'.repeat(510), c: '' };
    for (const metadata of [many, large, {}]) {
      const { id } = await mintOne({ body: { endpoint_id: 'ep_echo', metadata } });
      expect((await recordOf(id)).metadata).toEqual(metadata);
    }
  });
});

describe('reading', () => {
  it('shows the record and never the token, from the mint to the end of the call', async () => {
    const { token, ws_url, ...minted } = await mintOne({ body: { endpoint_id: 'ep_echo', metadata: { order: '7' } } });
    expect(await recordOf(minted.id)).toEqual({ ...minted, metadata: { order: '7' } });

    await api.store.burn({ ...HELD, id: minted.id, endpointId: 'ep_echo', sessionId: 'sess_1' });
    const running = await recordOf(minted.id);
    expect(running).toEqual({
      ...minted,
      status: 'active',
      metadata: { order: '7' },
      session: {
        id: 'sess_1',
        started_at: expect.stringMatching(RFC_3339),
        expires_at: expect.stringMatching(RFC_3339),
        ended_at: null,
        end_reason: null,
      },
    });

    await api.store.finish({ ...HELD, id: minted.id, sessionId: 'sess_1', reason: 'client_lost' });
    expect(await recordOf(minted.id)).toEqual({
      ...running,
      status: 'completed',
      session: { ...running.session, ended_at: expect.stringMatching(RFC_3339), end_reason: 'client_lost' },
    });
  });

  it('works for a team whose flag is off, and with HEAD', async () => {
    const id = newTokenId();
    await api.store.issue({ id, endpointId: 'ep_off', team: 'team_off', ttlSeconds: 60, maxDurationSeconds: 1 });
    expect(await recordOf(id, OFF_READ_ONLY)).toMatchObject({ id, status: 'issued' });
    const head = await call({ method: 'HEAD', path: `/${id}`, key: OFF_READ_ONLY });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('says expired of a token that nobody used in time', async () => {
    let now = 1_700_000_000_000;
    const store = new MemoryTokenStore({ now: () => now });
    await using own = await startApi({ store });
    const { id } = await (await call({}, own)).json();
    now += 60_000;
    expect(await (await call({ method: 'GET', path: `/${id}` }, own)).json()).toMatchObject({ status: 'expired' });
    await store.close();
  });
});

/** Each refusal, with everything wrong that is checked after it, so that the rows also show the order. */
const TOO_LARGE = `{"endpoint_id":"${'x'.repeat(65_536)}"}`;
const xml = { 'content-type': 'text/xml' };
const ROWS: [HttpErrorCode, string, Call][] = [
  [
    'server_to_server_only',
    'an Origin',
    { headers: { origin: 'https://page.example', ...xml }, key: null, text: TOO_LARGE },
  ],
  ['server_to_server_only', 'an Origin on an unknown path', { path: '/a/b/c', headers: { origin: 'null' }, key: null }],
  [
    'server_to_server_only',
    'a preflight',
    { method: 'OPTIONS', headers: { origin: 'https://page.example' }, key: null },
  ],
  [
    'server_to_server_only',
    'an Origin on a read',
    { method: 'GET', path: '/x', headers: { origin: 'https://a.example' } },
  ],
  ['api_key_missing', 'no credentials', { key: null, headers: xml, text: TOO_LARGE }],
  ['api_key_missing', 'other credentials', { authorization: 'Basic Y2drOng=' }],
  ['api_key_missing', 'no key after the scheme', { authorization: 'Bearer ' }],
  ['api_key_missing', 'an unknown path', { path: '/a/b', key: null }],
  ['api_key_missing', 'another method', { method: 'PUT', key: null }],
  ['api_key_invalid', 'an unknown key id', { key: 'cgk_nobody_secret', headers: xml, text: TOO_LARGE }],
  ['api_key_invalid', 'a wrong secret', { key: `${KEY}x` }],
  ['api_key_invalid', "another key's id", { key: KEY.replace('full', 'mint') }],
  ['api_key_invalid', 'something that is no key', { key: 'abc' }],
  ['api_key_invalid', 'two keys', { key: `${KEY} ${KEY}` }],
  ['webrtc_disabled', 'the flag off, whatever the scopes', { key: OFF_READ_ONLY, headers: xml, text: TOO_LARGE }],
  ['webrtc_disabled', 'the flag off', { key: OFF_KEY, body: { endpoint_id: 'ep_off' } }],
  ['scope_missing', 'a key that may only read', { key: READ_ONLY, headers: xml, text: TOO_LARGE }],
  ['scope_missing', 'a key that may only mint', { method: 'GET', path: '/ct_x', key: MINT_ONLY }],
  ['body_too_large', 'more than 64 KiB', { headers: xml, text: TOO_LARGE }],
  ['media_type_unsupported', 'XML', { headers: xml, text: '{' }],
  ['media_type_unsupported', 'an invalid media type', { headers: { 'content-type': 'json' } }],
  ['media_type_unsupported', 'a compressed body', { headers: { 'content-encoding': 'gzip' } }],
  ['request_malformed', 'half a document', { text: '{"endpoint_id":"ep_nowhere"' }],
  ['request_malformed', 'no body', { text: '' }],
  ['request_malformed', 'a list', { text: '[]' }],
  ['request_malformed', 'null', { text: 'null' }],
  ['request_malformed', 'a deep nest', { text: '['.repeat(65_000) }],
  ['request_malformed', 'a field twice', { text: '{"endpoint_id":"ep_echo","endpoint_id":"ep_echo"}' }],
  [
    'request_malformed',
    'a field twice, once escaped',
    { text: '{"endpoint_id":"ep_echo","endpoint\\u005fid":"ep_echo"}' },
  ],
  ['request_malformed', 'a pair twice', { text: '{"endpoint_id":"ep_echo","metadata":{"a":"1","a" :"2"}}' }],
  ['request_malformed', '__proto__', { text: '{"endpoint_id":"ep_echo","__proto__":{}}' }],
  [
    'request_malformed',
    'constructor in the metadata',
    { text: '{"endpoint_id":"ep_echo","metadata":{"constructor":"x"}}' },
  ],
  ['request_malformed', 'an unknown field', { body: { unknown: 1 } }],
  ['request_malformed', 'an endpoint that is no string', { body: { endpoint_id: 5 } }],
  ['request_malformed', 'too short a life', { body: { ttl_seconds: 4 } }],
  ['request_malformed', 'too long a life', { body: { ttl_seconds: 601 } }],
  ['request_malformed', 'a life in text', { body: { ttl_seconds: '60' } }],
  ['request_malformed', 'half a second', { body: { max_duration_seconds: 0.5 } }],
  ['request_malformed', 'no duration', { body: { max_duration_seconds: 0 } }],
  ['request_malformed', 'a duration over the limit', { body: { endpoint_id: 'ep_echo', max_duration_seconds: 601 } }],
  ['request_malformed', 'nested metadata', { body: { metadata: { a: {} } } }],
  ['request_malformed', 'a number under a name with a line break', { body: { metadata: { 'a\nb': 1 } } }],
  ['request_malformed', '1025 bytes of metadata', { body: { metadata: { a: 'é'.repeat(512) } } }],
  [
    'request_malformed',
    '33 pairs',
    { body: { metadata: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [i, ''])) } },
  ],
  [
    'request_malformed',
    'a SHA-1 fingerprint',
    { body: { dtls_fingerprint: `sha-1 ${Array(20).fill('AB').join(':')}` } },
  ],
  ['request_malformed', 'a bad escape in the path', { method: 'GET', path: '/%zz' }],
  ['endpoint_missing', 'no endpoint', { body: {} }],
  [
    'endpoint_unknown',
    'an endpoint that is not there',
    { body: { endpoint_id: 'ep_nowhere', max_duration_seconds: 86_400 } },
  ],
  ['endpoint_unknown', "another team's endpoint", { body: { endpoint_id: 'ep_other' } }],
  ['endpoint_unknown', 'a name of Object', { body: { endpoint_id: 'constructor' } }],
  ['endpoint_not_webrtc', 'an endpoint without WebRTC', { body: { endpoint_id: 'ep_phone' } }],
  ['token_not_found', 'an id that was never given', { method: 'GET', path: `/${newTokenId()}` }],
  ['token_not_found', 'something that is no id', { method: 'GET', path: '/ct_1' }],
  ['token_not_found', 'a long path', { method: 'GET', path: `/${'x'.repeat(4000)}` }],
  ['endpoint_disabled', 'a disabled endpoint', { body: { endpoint_id: 'ep_closed' } }],
  ['flow_not_live', 'a paused flow', { body: { endpoint_id: 'ep_paused' } }],
  ['flow_not_live', 'an archived flow', { body: { endpoint_id: 'ep_archived' } }],
  ['not_found', 'an unknown path', { path: '/a/b', text: TOO_LARGE }],
  ['method_not_allowed', 'another method', { method: 'PUT', headers: xml, text: TOO_LARGE }],
  ['method_not_allowed', 'a read of a refresh', { method: 'GET', path: `/${newTokenId()}/refresh` }],
];

describe('refusals', () => {
  it.each(ROWS)('%s: %s', async (code, _, request) => {
    const response = await call(request);
    await expectProblem(response, code);
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('name what is wrong', async () => {
    const detailOf = async (body: unknown) => (await (await call({ body })).json()).detail;
    expect(await detailOf({ ttl_seconds: 4 })).toBe('ttl_seconds: must be >= 5');
    expect(await detailOf({ tokn: 1 })).toBe('tokn: unknown field');
    expect(await detailOf({ [KEY.repeat(9)]: 1 })).toBe('a field: unknown field');
    expect(await detailOf({ endpoint_id: 'ep_echo', max_duration_seconds: 601 })).toContain('at most 600');
    expect(await detailOf({ metadata: { a: 'x'.repeat(1024) } })).toMatch(/^metadata: must be at most 1024 bytes/);
  });

  it("do not tell another team's token from one that is not there", async () => {
    const { id } = await mintOne();
    await expectProblem(await call({ method: 'GET', path: `/${id}`, key: OTHER_KEY }), 'token_not_found');
  });

  it('challenge a client without a good key', async () => {
    const missing = await call({ key: null });
    const invalid = await call({ key: 'cgk_full_wrong' });
    expect(missing.headers.get('www-authenticate')).toBe('Bearer realm="callgate"');
    expect(invalid.headers.get('www-authenticate')).toBe('Bearer realm="callgate", error="invalid_token"');
  });

  it('say which methods a path takes', async () => {
    expect((await call({ method: 'DELETE' })).headers.get('allow')).toBe('HEAD, GET, POST, OPTIONS');
    expect((await call({ path: '/ct_1' })).headers.get('allow')).toBe('HEAD, GET, DELETE, OPTIONS');
    expect((await call({ method: 'GET', path: '/ct_1/refresh' })).headers.get('allow')).toBe('POST, OPTIONS');
    const options = await call({ method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'HEAD, GET, POST, OPTIONS']);
  });

  it('never repeat a key or a token, nor do the logs', async () => {
    const { token } = await mintOne();
    const stray = await call({ key: `${KEY}x`, path: `/${token}?key=${KEY}`, method: 'GET' });
    const body = await call({ body: { endpoint_id: token.slice(0, 100), metadata: { token } } });
    expect(`${await stray.text()}${await body.text()}${api.logged()}`).not.toMatch(
      new RegExp(`${KEY.slice(9)}|${token.slice(-40)}|${token.slice(0, 60)}`),
    );
  });
});

describe('without the store', () => {
  const down = async (): Promise<never> => {
    throw new CallgateError('unavailable', { retryable: true });
  };

  it.each<[HttpErrorCode, string, Call]>([
    ['unavailable', 'minting', {}],
    ['unavailable', 'reading', { method: 'GET', path: `/${newTokenId()}` }],
    ['unavailable', 'listing', { method: 'GET' }],
    ['unavailable', 'refreshing', { path: `/${newTokenId()}/refresh` }],
    ['unavailable', 'revoking', { method: 'DELETE', path: `/${newTokenId()}`, text: '' }],
    ['unavailable', 'a wrong query', { method: 'GET', path: '?limit=0' }],
    ['unavailable', 'a malformed body', { text: '{' }],
    ['unavailable', 'a disabled endpoint', { body: { endpoint_id: 'ep_closed' } }],
    ['api_key_invalid', 'a wrong key', { key: 'cgk_full_wrong' }],
    ['scope_missing', 'a key that may only read', { key: READ_ONLY }],
  ])('%s is said to %s', async (code, _, request) => {
    const keys = { claim: down, settle: down, release: down };
    const steps = { issue: down, read: down, refresh: down, revoke: down, list: down, mintRate: { take: down } };
    await using own = await startApi({ store: { ...steps, idempotency: keys, ready: false } });
    const response = await call(request, own);
    await expectProblem(response, code);
    expect(response.headers.get('retry-after')).toBe(code === 'unavailable' ? '1' : null);
  });

  it('a defect says nothing about itself to the client, and all to the log', async () => {
    const broken = (): never => {
      throw new Error('the inner workings');
    };
    await using own = await startApi({ sign: broken });
    const response = await call({}, own);
    await expectProblem(response.clone(), 'internal_error');
    expect(await response.text()).not.toContain('inner workings');
    expect(own.logged()).toContain('the inner workings');
  });
});

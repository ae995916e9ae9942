import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange, KEY, rawRequest, startApi, type TestApi } from './support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api[Symbol.asyncDispose]());

const AUTHORIZATION = `authorization: Bearer ${KEY}`;
const statusOf = (answer: string): number => Number(answer.split(' ')[1]);
const bodyOf = (answer: string) => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));

describe('health', () => {
  it('is live, and ready when the store and the media are', async () => {
    const [live, ready] = await Promise.all([fetch(`${api.url}/healthz`), fetch(`${api.url}/readyz`)]);
    expect([live.status, await live.json()]).toEqual([200, { status: 'live' }]);
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { status: 'ready', checks: { store: true, media: true } },
    ]);
  });

  it('stays live but is not ready without the store', async () => {
    await using own = await startApi({ readiness: () => ({ store: false, media: true }) });
    const [live, ready] = await Promise.all([fetch(`${own.url}/healthz`), fetch(`${own.url}/readyz`)]);
    expect(live.status).toBe(200);
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { status: 'not_ready', checks: { store: false, media: true } },
    ]);
  });
});

describe('the key set', () => {
  it('holds public keys only', async () => {
    const response = await fetch(`${api.url}/.well-known/jwks.json`);
    const { keys } = await response.json();
    expect(response.headers.get('content-type')).toBe('application/jwk-set+json');
    expect(keys).toHaveLength(1);
    expect(keys[0]).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', kid: expect.any(String) });
    expect(keys[0]).not.toHaveProperty('d');
  });
});

describe('elsewhere', () => {
  it.each([
    ['GET', '/', 404],
    ['POST', '/v1/unknown', 404],
    ['PUT', '/v1/call-tokens-x', 404],
    ['GET', '/demo/endpoints', 404],
    ['POST', '/demo/call-tokens', 404],
    ['POST', '/healthz', 405],
    ['DELETE', '/.well-known/jwks.json', 405],
    ['PROPFIND', '/readyz', 405],
    ['OPTIONS', '/healthz', 204],
    ['HEAD', '/healthz', 200],
  ])('%s %s is %i', async (method, path, status) => {
    const sends = method !== 'GET' && method !== 'HEAD';
    const body = sends ? { body: '<x/>', headers: { 'content-type': 'text/xml' } } : {};
    const response = await fetch(`${api.url}${path}`, { method, ...body });
    expect(response.status).toBe(status);
    expect(response.headers.get('x-request-id')).toMatch(/^req_/);
    if (status === 405) expect(response.headers.get('allow')).toBe('HEAD, GET, OPTIONS');
    if (status >= 400) expect(response.headers.get('content-type')).toBe('application/problem+json');
  });

  it('gives every request an id of its own, whatever the client sends', async () => {
    const ids = new Set<string | null>();
    for (let i = 0; i < 3; i++) {
      const response = await fetch(`${api.url}/healthz`, { headers: { 'x-request-id': 'mine', 'request-id': 'mine' } });
      ids.add(response.headers.get('x-request-id'));
    }
    expect(ids.size).toBe(3);
    expect(ids).not.toContain('mine');
  });
});

describe('odd requests', () => {
  it.each([
    ['an escaped path', 'POST /v1/call%2Dtokens HTTP/1.1'],
    ['an absolute target', 'POST http://127.0.0.1/v1/call-tokens HTTP/1.1'],
    ['a trailing slash', 'POST /v1/call-tokens/ HTTP/1.1'],
    ['a query', 'POST /v1/call-tokens?a=b HTTP/1.1'],
    ['a bad escape', 'GET /v1/call-tokens/%zz HTTP/1.1'],
    ['an unusual method', 'PROPFIND /v1/call-tokens HTTP/1.1'],
  ])('with an Origin are refused first on %s', async (_, line) => {
    const answer = await rawRequest(api.port, [line, 'host: x', 'origin: https://page.example', AUTHORIZATION]);
    expect(bodyOf(answer).code).toBe('server_to_server_only');
  });

  it('with a Host that is none get no address made of it', async () => {
    const head = ['POST /v1/call-tokens HTTP/1.1', 'host: a"b', AUTHORIZATION, 'content-type: application/json'];
    const answer = await rawRequest(api.port, [...head, 'content-length: 25'], '{"endpoint_id":"ep_echo"}');
    expect([statusOf(answer), bodyOf(answer).code]).toEqual([400, 'request_malformed']);
  });

  it('of HTTP/1.0 need no Host', async () => {
    const head = ['POST /v1/call-tokens HTTP/1.0', AUTHORIZATION, 'content-type: application/json'];
    const answer = await rawRequest(api.port, [...head, 'content-length: 25'], '{"endpoint_id":"ep_echo"}');
    expect([statusOf(answer), bodyOf(answer).ws_url]).toEqual([201, `ws://127.0.0.1:${api.port}/v1/connect`]);
  });

  it('that declare a large body are refused before it is sent', async () => {
    const head = ['POST /v1/call-tokens HTTP/1.1', 'host: x', AUTHORIZATION, 'content-type: application/json'];
    const answer = await rawRequest(api.port, [...head, 'content-length: 65537']);
    expect([statusOf(answer), bodyOf(answer).code]).toEqual([413, 'body_too_large']);
  });

  it('that send a large body without declaring it get their answer too', async () => {
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    const head = ['POST /v1/call-tokens HTTP/1.1', 'host: x', AUTHORIZATION, 'content-type: application/json'];
    const answer = await rawRequest(api.port, [...head, 'transfer-encoding: chunked'], `${chunk.repeat(40)}0\r\n\r\n`);
    expect([statusOf(answer), bodyOf(answer).code]).toEqual([413, 'body_too_large']);
  });

  it.each([
    ['megabytes', 8 * 1024 * 1024],
    ['one byte too many', 65_537],
  ])('that send %s get their answer through an ordinary client', async (_, size) => {
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const body = Buffer.alloc(size, 0x20);
    const response = await fetch(`${api.url}/v1/call-tokens`, { method: 'POST', headers, body });
    expect(response.status).toBe(413);
  });

  it.each([
    ['that are not HTTP', 'hello\r\n\r\n', 400],
    ['with headers over 16 KiB', `GET /healthz HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(17_000)}\r\n\r\n`, 431],
    ['with two lengths', 'POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
    [
      'with length and chunks',
      'POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
  ])('%s get a short problem and are closed', async (_, text, status) => {
    const answer = await exchange(api.port, text);
    expect(statusOf(answer)).toBe(status);
    expect(bodyOf(answer)).toMatchObject({
      status,
      code: 'request_malformed',
      request_id: expect.stringMatching(/^req_/),
    });
  });

  it.each([
    ['says nothing', ''],
    ['stops within its headers', 'GET /healthz HTTP/1.1\r\nhost: x\r\n'],
  ])('a connection that %s is closed with 408', async (_, text) => {
    await using own = await startApi({ admission: { headers_timeout_ms: 500 } });
    expect(statusOf(await exchange(own.port, text))).toBe(408);
  });

  it('survive a client that goes away within its body', async () => {
    const head = ['POST /v1/call-tokens HTTP/1.1', 'host: x', AUTHORIZATION, 'content-type: application/json'];
    await new Promise<void>((resolve) => {
      const socket = connect(api.port, '127.0.0.1', () => {
        socket.write(`${head.join('\r\n')}\r\ncontent-length: 10\r\n\r\n{`, () => socket.resetAndDestroy());
      });
      socket.on('close', () => resolve());
    });
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
  });
});

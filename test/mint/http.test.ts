import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditEvent } from '../../src/telemetry/audit.ts';
import { exchange, KEY, rawRequest, startApi, type TestApi } from '../support/api.ts';
import { send } from '../support/api-calls.ts';

const mint = (...headers: string[]) => {
  const body = '{"endpoint_id":"ep_echo"}';
  const type = ['content-type: application/json', `content-length: ${body.length}`];
  return [['POST /v1/call-tokens HTTP/1.1', `authorization: Bearer ${KEY}`, ...type, ...headers], body] as const;
};
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));

describe('the HTTP server', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it.each([
    ['two Host fields', ['host: x', 'host: x']],
    ['two Host fields in two cases', ['Host: 127.0.0.1', 'hOST: evil.example']],
    ['no Host', []],
  ])('refuses %s on every path, with a problem', async (_, hosts) => {
    for (const path of ['/healthz', '/nothing', '/v1/call-tokens', '/docs', '/v1/connect']) {
      const text = await rawRequest(api.port, [`GET ${path} HTTP/1.1`, ...hosts]);
      expect(statuses(text)).toEqual([400]);
      expect(text).toContain('"code":"request_malformed"');
      expect(text).toMatch(/\r\nx-request-id: req_/);
    }
  });

  it('takes no Host from HTTP/1.0', async () => {
    expect(statuses(await rawRequest(api.port, ['GET /healthz HTTP/1.0']))).toEqual([200]);
  });

  it('takes the host from a target that is a whole URL, and not from Host', async () => {
    const [head, body] = mint('host: evil.example');
    const text = await rawRequest(
      api.port,
      [head[0]!.replace('/v1', 'http://calls.example:8080/v1'), ...head.slice(1)],
      body,
    );
    expect(text).toContain('"ws_url":"ws://calls.example:8080/v1/connect"');
    const page = ['GET http://x/v1/call-tokens/%zz HTTP/1.1', 'host: x', 'origin: https://page.example'];
    expect(await rawRequest(api.port, page)).toContain('server_to_server_only');
    expect(statuses(await rawRequest(api.port, ['GET http://x HTTP/1.1', 'host: x']))).toEqual([404]);
  });

  it('invites with 100 Continue whom it serves, and refuses other expectations', async () => {
    const [head, body] = mint('host: x', 'expect: 100-continue');
    expect(statuses(await rawRequest(api.port, [...head], body))).toEqual([100, 201]);
    const text = await rawRequest(api.port, ['GET /healthz HTTP/1.1', 'host: x', 'expect: miracles']);
    expect(statuses(text)).toEqual([417]);
    expect(text).toContain('"code":"expectation_failed"');
  });

  it.each([
    ['both lengths', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd'],
    ['a length that is none', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +4\r\n\r\nabcd'],
    ['an encoding that is not known', 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nhost : x\r\n\r\n'],
    ['a folded header', 'GET / HTTP/1.1\r\nhost: x\r\n y\r\n\r\n'],
    ['bare line feeds', 'GET / HTTP/1.1\nhost: x\n\n'],
    [
      'a chunk size that is none',
      'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n',
    ],
  ])('serves nothing that comes behind a request with %s', async (_, text) => {
    const answer = await exchange(api.port, `${text}GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    expect(statuses(answer).every((status) => status >= 400)).toBe(true);
    expect(answer).not.toContain('live');
  });

  it('answers each request of a pipeline, in order', async () => {
    const paths = ['/healthz', '/docs', '/openapi.json', '/nothing', '/docs/static/callgate.css'];
    const pipeline = paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`).join('');
    const last = 'GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
    expect(statuses(await exchange(api.port, pipeline.repeat(5) + last))).toEqual([
      ...Array.from({ length: 5 }, () => [200, 200, 200, 404, 200]).flat(),
      200,
    ]);
  });

  it('says by ETag that a file is the same', async () => {
    const { headers } = await fetch(`${api.url}/docs/static/callgate.css`);
    expect(headers.get('content-type')).toBe('text/css; charset=utf-8');
    const again = await fetch(`${api.url}/docs/static/callgate.css`, {
      headers: { 'if-none-match': headers.get('etag')! },
    });
    expect(again.status).toBe(304);
  });
});

describe('/v1/connect without an upgrade', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it.each([
    ['a proxy that hands no Upgrade on', ['GET /v1/connect HTTP/1.1', 'host: x']],
    ['a proxy that speaks HTTP/1.0', ['GET /v1/connect?x=1 HTTP/1.0', 'upgrade: websocket', 'connection: upgrade']],
    ['an upgrade to something else', ['GET /v1/connect HTTP/1.1', 'host: x', 'upgrade: h2c']],
    ['Upgrade without Connection', ['GET /v1/connect HTTP/1.1', 'host: x', 'upgrade: websocket']],
  ])('says 426 and what to set in the proxy to %s', async (_, head) => {
    const text = await rawRequest(api.port, head);
    expect(statuses(text)).toEqual([426]);
    expect(text).toMatch(/\r\nupgrade: websocket\r\n/i);
    expect(text).toMatch(/\r\nconnection: upgrade, close\r\n/i);
    expect(text).toMatch(/\r\nsec-websocket-version: 13\r\n/i);
    expect(text).toMatch(/\r\ncontent-type: application\/problem\+json\r\n/i);
    expect(text).toContain('"code":"upgrade_required"');
    for (const setting of ['proxy_http_version 1.1', 'Upgrade $http_upgrade', 'Connection']) {
      expect(text).toContain(setting);
    }
  });

  it('knows its methods', async () => {
    expect((await fetch(`${api.url}/v1/connect`, { method: 'HEAD' })).status).toBe(426);
    const refused = await fetch(`${api.url}/v1/connect`, { method: 'POST' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'HEAD, GET, OPTIONS']);
    expect((await fetch(`${api.url}/v1/connect`, { method: 'OPTIONS' })).status).toBe(204);
    const upgrade = ['POST /v1/connect HTTP/1.1', 'host: x', 'upgrade: websocket', 'connection: upgrade'];
    expect(statuses(await rawRequest(api.port, upgrade))).toEqual([405]);
  });
});

describe('refusals', () => {
  const KEYLESS = 'GET /v1/call-tokens HTTP/1.1\r\nhost: x\r\n\r\n';

  it('close a connection when they come in numbers', async () => {
    const audited: AuditEvent[] = [];
    await using api = await startApi({ audit: (event) => audited.push(event) });
    const text = await exchange(api.port, KEYLESS.repeat(1000));
    expect(statuses(text)).toEqual(Array.from({ length: 11 }, () => 401));
    expect(text.match(/\r\nconnection: close\r\n/gi)).toHaveLength(1);
    expect(audited).toHaveLength(11);
  });

  it('of an address that had too many are not told one by one, and keep out no good key', async () => {
    const audited: AuditEvent[] = [];
    const admission = { limit_loopback: true, failed_presentations_per_minute: 5 };
    await using api = await startApi({ admission, audit: (event) => audited.push(event) });
    const refused = ['origin', 'wrong', 'none', 'origin', 'none'];
    for (const how of refused) {
      const headers = how === 'origin' ? { origin: 'https://page.example' } : {};
      const key = how === 'wrong' ? 'cgk_full_wrong' : null;
      expect([401, 403]).toContain((await send(api, { key, headers })).status);
    }
    expect(audited).toHaveLength(5);
    for (let i = 0; i < 20; i++) {
      const answer = await send(api, { key: null });
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '60']);
      expect(answer.headers.get('connection')).toBe('close');
    }
    expect((await send(api)).status).toBe(201);
    expect(audited.map(({ event }) => event)).toEqual([...refused.map(() => 'refusal'), 'mint']);
  });
});

describe('behind a proxy', () => {
  let api: TestApi;
  const audited: AuditEvent[] = [];
  beforeAll(async () => {
    const admission = { failed_presentations_per_minute: 2 };
    api = await startApi({ http: { trusted_proxies: 1 }, admission, audit: (event) => audited.push(event) });
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it.each([
    ['203.0.113.9:40001', '203.0.113.9'],
    ['[2001:db8::7]:4711', '2001:db8::7'],
    [`<script>${'x'.repeat(12_000)}`, 'unknown'],
    ['unknown', 'unknown'],
  ])('what is audited has the address of X-Forwarded-For, and none of its text (%#)', async (node, peer) => {
    audited.length = 0;
    const headers = { 'x-forwarded-for': node };
    await send(api, { key: null, headers });
    await send(api, { headers });
    expect(audited.map((event) => [event.event, event.peer])).toEqual([
      ['refusal', peer],
      ['mint', peer],
    ]);
  });

  it('refusals count for the client, and not for those that nobody knows', async () => {
    const from = async (node: string) => (await send(api, { key: null, headers: { 'x-forwarded-for': node } })).status;
    const first = [await from('203.0.113.7:1'), await from('203.0.113.7:2'), await from('"203.0.113.7"')];
    expect(first).toEqual([401, 401, 429]);
    expect(await from('203.0.113.8')).toBe(401);
    for (let i = 0; i < 5; i++) expect(await from('unknown')).toBe(401);
  });

  it.each([
    ['https', 'wss:'],
    ['https,http', 'wss:'],
    ['HTTPS , http, http', 'wss:'],
    ['"https"', 'wss:'],
    ['http', 'ws:'],
    ['http,https', 'ws:'],
    ['', 'ws:'],
    ['httpsx', 'ws:'],
  ])('ws_url for X-Forwarded-Proto: %s begins with %s', async (proto, scheme) => {
    const headers = { 'x-forwarded-proto': proto, 'x-forwarded-host': 'evil.example' };
    const { ws_url } = (await (await send(api, { headers })).json()) as { ws_url: string };
    expect(ws_url).toBe(`${scheme}//127.0.0.1:${api.port}/v1/connect`);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEY, rawRequest, startApi, type TestApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({ demoKey: KEY });
});
afterAll(() => api[Symbol.asyncDispose]());

const BODY = '{"endpoint_id":"ep_echo"}';

/** A request with exactly these headers; `fetch` would not let a Host through. PORT stands for the server's. */
async function send(
  line: string,
  headers: Record<string, string>,
  body = '',
): Promise<{ status: number; body: unknown }> {
  const head = Object.entries({ ...headers, ...(body && { 'content-length': String(body.length) }) });
  const lines = head.map(([name, value]) => `${name}: ${value.replace('PORT', String(api.port))}`);
  const answer = await rawRequest(api.port, [`${line} HTTP/1.1`, ...lines], body);
  return { status: Number(answer.split(' ')[1]), body: JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) };
}

const JSON_TYPE = { 'content-type': 'application/json' };
const mint = (headers: Record<string, string>, body = BODY) =>
  send('POST /demo/call-tokens', { ...JSON_TYPE, ...headers }, body);
const PAGE = { host: '127.0.0.1:PORT', origin: 'http://127.0.0.1:PORT', 'sec-fetch-site': 'same-origin' };

describe('the demo', () => {
  it('mints for its own page and shows it what became of the token, as the real calls do', async () => {
    const minted = await mint(PAGE, '{"endpoint_id":"ep_room","ttl_seconds":30}');
    expect(minted).toMatchObject({
      status: 201,
      body: {
        endpoint_id: 'ep_room',
        status: 'issued',
        max_duration_seconds: 3600,
        ws_url: `ws://127.0.0.1:${api.port}/v1/connect`,
      },
    });
    const { id } = minted.body as { id: string };
    const record = await send(`GET /demo/call-tokens/${id}`, {
      host: 'localhost:PORT',
      'sec-fetch-site': 'same-origin',
    });
    expect(record).toMatchObject({ status: 200, body: { id, status: 'issued' } });
    expect(record.body).not.toHaveProperty('token');
  });

  it('lists the endpoints that take calls', async () => {
    const { status, body } = await send('GET /demo/endpoints', { host: '127.0.0.1:PORT' });
    expect(status).toBe(200);
    expect(body).toEqual({
      endpoints: [
        { id: 'ep_echo', target: 'echo', audio: true, video: true },
        { id: 'ep_room', target: 'room', audio: true, video: false },
        { id: 'ep_slow', target: 'echo', audio: true, video: true },
        { id: 'ep_other', target: 'echo', audio: true, video: true },
      ],
    });
  });

  it.each([
    ['localhost', { host: 'localhost:PORT', origin: 'http://localhost:PORT' }],
    ['IPv6 loopback', { host: '[::1]:PORT', origin: 'http://[::1]:PORT' }],
    ['a browser that sends no Sec-Fetch-Site', { host: '127.0.0.1:PORT', origin: 'http://127.0.0.1:PORT' }],
  ])('takes its page at %s', async (_, headers) => {
    expect((await mint(headers)).status).toBe(201);
  });

  it.each<[string, Record<string, string>]>([
    ['another page', { ...PAGE, origin: 'http://evil.example' }],
    ['a page on another port', { ...PAGE, origin: 'http://127.0.0.1:1' }],
    ['the same page over TLS', { ...PAGE, origin: 'https://127.0.0.1:PORT' }],
    ['a sandboxed page', { ...PAGE, origin: 'null' }],
    ['no page', { host: '127.0.0.1:PORT' }],
    ['a page of the same site', { ...PAGE, 'sec-fetch-site': 'same-site' }],
    ['a rebound name', { host: 'evil.example:PORT', origin: 'http://evil.example:PORT' }],
    [
      'a name that begins like loopback',
      { host: '127.0.0.1.evil.example:PORT', origin: 'http://127.0.0.1.evil.example:PORT' },
    ],
    ['another port', { host: '127.0.0.1:1', origin: 'http://127.0.0.1:1' }],
    ['a user in the Host', { host: 'x@127.0.0.1:PORT', origin: 'http://127.0.0.1:PORT' }],
  ])('mints nothing for %s', async (_, headers) => {
    expect(await mint(headers)).toMatchObject({ status: 403, body: { code: 'server_to_server_only' } });
  });

  it('shows nothing to another page', async () => {
    for (const path of ['/demo/endpoints', '/demo/call-tokens/ct_1']) {
      const foreign = { host: '127.0.0.1:PORT', origin: 'http://evil.example' };
      expect((await send(`GET ${path}`, foreign)).status).toBe(403);
      expect((await send(`GET ${path}`, { host: '127.0.0.1:PORT', 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    }
  });

  it.each([
    ['request_malformed', '{"endpoint_id":"ep_echo","x":1}'],
    ['endpoint_missing', '{}'],
    ['endpoint_unknown', '{"endpoint_id":"ep_nowhere"}'],
    ['endpoint_not_webrtc', '{"endpoint_id":"ep_phone"}'],
    ['endpoint_disabled', '{"endpoint_id":"ep_closed"}'],
    ['flow_not_live', '{"endpoint_id":"ep_paused"}'],
  ])('refuses with %s as the real call does', async (code, body) => {
    expect((await mint(PAGE, body)).body).toMatchObject({ code });
  });

  it('knows its methods and its tokens', async () => {
    expect((await send('GET /demo/call-tokens', PAGE)).status).toBe(405);
    expect((await send('GET /demo/call-tokens/ct_1', PAGE)).body).toMatchObject({ code: 'token_not_found' });
  });
});

import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newTokenId } from '../../src/tokens/ids.ts';
import { KEY, startApi, type TestApi } from '../support/api.ts';

/** The deadlines as shipped, and how late their guard may be: it looks every 500 ms, on a busy machine. */
const BODY_MS = 10_000;
const HEADERS_MS = 5000;
const LATE_MS = 4000;
const DRIP_MS = 500;

interface Slow {
  /** What is sent at once, and what again every 500 ms. */
  start: string;
  drip?: string;
}

interface Heard {
  statuses: number[];
  codes: string[];
  /** From the first byte to the server's end of the connection. */
  ms: number;
}

/** Sends slowly until the server ends the connection, and never ends it by itself. */
function heardBy(port: number, { start, drip }: Slow): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const since = performance.now();
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.write(start);
    const dripping = drip === undefined ? undefined : setInterval(() => socket.write(drip), DRIP_MS);
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    const settle = () => {
      clearInterval(dripping);
      resolve({
        statuses: [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status)),
        codes: [...text.matchAll(/"code":"(\w+)"/g)].map(([, code]) => code ?? ''),
        ms: performance.now() - since,
      });
    };
    socket.on('end', settle);
    socket.on('close', settle);
    // What is still dripping when the server has closed is answered with a reset.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      /ECONNRESET|EPIPE/.test(error.code ?? '') ? settle() : reject(error),
    );
  });
}

const AUTHORIZED = `authorization: Bearer ${KEY}`;
const id = newTokenId();
/** What is told before the body is waited for. */
const ROUTES: [name: string, line: string, headers: string[], early?: [status: number, code?: string]][] = [
  ['minting', 'POST /v1/call-tokens', [AUTHORIZED]],
  ['refreshing', `POST /v1/call-tokens/${id}/refresh`, [AUTHORIZED]],
  ['revoking', `DELETE /v1/call-tokens/${id}`, [AUTHORIZED]],
  ['reading', `GET /v1/call-tokens/${id}`, [AUTHORIZED], [404, 'token_not_found']],
  ['listing', 'GET /v1/call-tokens', [AUTHORIZED], [200]],
  ['asking for nothing', 'POST /v1/call-tokens/a/b', [AUTHORIZED], [404, 'not_found']],
  ['asking without a key', 'POST /v1/call-tokens', [], [401, 'api_key_missing']],
  ['asking from a page', 'POST /v1/call-tokens', ['origin: https://page.example'], [403, 'server_to_server_only']],
];

const BODIES: [name: string, header: string, start: string, drip?: string][] = [
  ['comes byte by byte', 'content-length: 100', '{', ' '],
  ['comes in chunks of a byte', 'transfer-encoding: chunked', '1\r\n{\r\n', '1\r\n \r\n'],
  ['stops in the middle', 'content-length: 100', '{"endpoint_id":'],
  ['stops between two chunks', 'transfer-encoding: chunked', '1\r\n{\r\n'],
];

const HEAD = `POST /v1/call-tokens HTTP/1.1\r\nhost: x\r\n${AUTHORIZED}\r\n`;
const HEADERS: [name: string, Slow][] = [
  ['come line by line', { start: HEAD, drip: 'x-more: 1\r\n' }],
  ['come byte by byte', { start: `${HEAD}x-more: `, drip: '1' }],
  ['stop in the middle', { start: HEAD }],
  ['never begin', { start: 'P' }],
];

describe('slow requests', () => {
  let api: TestApi;
  const heard = new Map<string, Promise<Heard>>();
  const say = (name: string, slow: Slow) => heard.set(name, heardBy(api.port, slow));
  // All of them wait at the same time.
  beforeAll(async () => {
    api = await startApi();
    for (const [route, line, headers] of ROUTES) {
      for (const [body, length, start, drip] of BODIES) {
        const head = [`${line} HTTP/1.1`, 'host: x', ...headers, 'content-type: application/json', length];
        say(route + body, { start: `${head.join('\r\n')}\r\n\r\n${start}`, ...(drip && { drip }) });
      }
    }
    for (const [name, slow] of HEADERS) say(name, slow);
  });
  afterAll(() => api[Symbol.asyncDispose]());

  describe.each(ROUTES)('%s', (route, _line, _headers, early) => {
    it.each(BODIES)('with a body that %s is cut off after 10 s', async (body) => {
      const { statuses, codes, ms } = await heard.get(route + body)!;
      const [status, code] = early ?? [];
      expect(statuses).toEqual([...(status ? [status] : []), 408]);
      expect(codes).toEqual([...(code ? [code] : []), 'request_malformed']);
      expect(ms).toBeGreaterThan(BODY_MS - DRIP_MS);
      expect(ms).toBeLessThan(BODY_MS + LATE_MS);
    });
  });

  it.each(HEADERS)('whose headers %s are cut off after 5 s', async (name) => {
    const { statuses, codes, ms } = await heard.get(name)!;
    expect([statuses, codes]).toEqual([[408], ['request_malformed']]);
    expect(ms).toBeGreaterThan(HEADERS_MS - DRIP_MS);
    expect(ms).toBeLessThan(HEADERS_MS + LATE_MS);
  });

  it('keep no connection, although none of these clients ends one', async () => {
    await Promise.all(heard.values());
    await expect.poll(api.connections).toBe(0);
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
  });
});

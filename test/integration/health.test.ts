import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeAnswer } from '../../src/peer/sdp/answer.ts';
import { CLOSE_CODES, END_REASONS } from '../../src/protocol/codes.ts';
import { rawRequest } from '../support/api.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(() => server?.stop());

const get = (path: string): Promise<Response> => fetch(`${server.running.url}${path}`);

const scrape = async (): Promise<Map<string, number>> => {
  const text = await (await fetch(server.running.metricsUrl)).text();
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
};

const start = async (endpoint_id = 'ep_echo', token?: string) =>
  startCall(server.wsUrl, { token: token ?? (await server.mint(endpoint_id)).token, endpoint_id });

describe('health', () => {
  it('says live and ready', async () => {
    const [live, ready] = [await get('/healthz'), await get('/readyz')];
    expect([live.status, await live.json()]).toEqual([200, { status: 'live' }]);
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { status: 'ready', checks: { store: true, media: true } },
    ]);
  });

  it('publishes keys that verify a minted token, and nothing private', async () => {
    const response = await get('/.well-known/jwks.json');
    const jwks = (await response.json()) as JSONWebKeySet;
    expect(jwks.keys.flatMap((key) => Object.keys(key))).not.toContain('d');
    const { id, token } = await server.mint('ep_echo');
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), {
      audience: 'callgate',
      typ: 'call-token+jwt',
      algorithms: ['EdDSA'],
    });
    expect(payload).toMatchObject({ jti: id, sub: 'ep_echo', team: 'team_a', iss: 'callgate' });
    expect(protectedHeader.kid).toBe(jwks.keys[0]!.kid);
  });
});

describe('metrics', () => {
  it('have a port that the refusal to start names when it is taken', async () => {
    const metrics_port = Number(new URL(server.running.metricsUrl).port);
    await expect(TestServer.start({ config: { http: { metrics_port } } })).rejects.toThrow(
      /EADDRINUSE.*http\.metrics_port/,
    );
  });

  it('are on a listener of loopback alone, with nothing else on it', async () => {
    expect((await get('/metrics')).status).toBe(404);
    const { hostname, origin } = new URL(server.running.metricsUrl);
    expect(hostname).toBe('127.0.0.1');
    for (const path of ['/', '/healthz', '/v1/call-tokens']) expect((await fetch(origin + path)).status).toBe(404);
    expect((await fetch(server.running.metricsUrl, { method: 'POST' })).status).toBe(404);
    expect((await fetch(server.running.metricsUrl)).headers.get('content-type')).toMatch(
      /^text\/plain; version=0\.0\.4/,
    );
  });

  it('are told under a name of loopback and their own port only, so that no page reads them', async () => {
    const { port } = new URL(server.running.metricsUrl);
    const status = async (...hosts: string[]) => {
      const text = await rawRequest(Number(port), ['GET /metrics HTTP/1.1', ...hosts.map((host) => `host: ${host}`)]);
      return text.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length);
    };
    for (const host of ['127.0.0.1', 'LOCALHOST', '[::1]', '127.1.2.3'])
      expect(await status(`${host}:${port}`)).toBe('200');
    const rebound = [
      'evil.example',
      `evil.example:${port}`,
      `localhost.evil.example:${port}`,
      'localhost',
      '127.0.0.1:1',
    ];
    for (const host of [...rebound, `x@127.0.0.1:${port}`, '']) expect(await status(host), host).toBe('403');
    expect(await status(`localhost:${port}`, `localhost:${port}`)).toBe('400');
    expect(await status()).toBe('400');
  });

  it('count what is held, what was presented and how it ended', async () => {
    const before = await scrape();
    const grown = async (name: string) => ((await scrape()).get(name) ?? 0) - (before.get(name) ?? 0);

    const socket = await start();
    const offer = await socket.expect('offer');
    const client = await RtcClient.answer(offer.sdp);
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: client.answerSdp });
    await socket.expect('live');
    const during = await scrape();
    expect(
      ['sessions', 'sockets', 'media_calls', 'store_ready', 'media_ready'].map((name) =>
        during.get(`callgate_${name}`),
      ),
    ).toEqual([1, 1, 1, 1, 1]);
    socket.send({ type: 'hangup' });
    await socket.expect('ended');
    await socket.closing();
    await client.close();

    await (await start('ep_echo', 'no.token.here')).closing();
    await (await start('ep_off', (await server.mint('ep_echo')).token)).closing();
    const broken = await start();
    const { offer_id, sdp } = await broken.expect('offer');
    broken.send({ type: 'answer', offer_id, sdp: writeAnswer(sdp).replaceAll('a=mid:', 'a=mid:x') });
    await broken.closing();

    await expect.poll(async () => (await scrape()).get('callgate_sockets')).toBe(0);
    expect(await grown('callgate_starts_total{outcome="burned"}')).toBe(2);
    expect(await grown('callgate_starts_total{outcome="token_invalid"}')).toBe(1);
    expect(await grown('callgate_starts_total{outcome="endpoint_mismatch"}')).toBe(1);
    expect(await grown('callgate_sessions_ended_total{reason="completed"}')).toBe(1);
    expect(await grown('callgate_sessions_ended_total{reason="negotiation_failed"}')).toBe(1);
    expect(await grown('callgate_time_to_live_seconds_count')).toBe(1);
    expect((await scrape()).get('callgate_sessions')).toBe(0);
  });

  it('have label values from closed sets only', async () => {
    const outcomes: readonly string[] = ['burned', ...Object.keys(CLOSE_CODES)];
    for (const name of (await scrape()).keys()) {
      if (!name.startsWith('callgate_')) continue;
      for (const [, label, value] of name.matchAll(/(\w+)="([^"]*)"/g)) {
        const quantiles = ['0.5', '0.9', '0.99', '1'];
        const allowed = { outcome: outcomes, reason: END_REASONS as readonly string[], quantile: quantiles }[label!];
        if (label === 'le') continue;
        expect(allowed, `values of ${label}`).toContain(value);
      }
    }
  });
});

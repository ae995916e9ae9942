import { createHmac, generateKeyPairSync } from 'node:crypto';
import { decodeJwt, exportJWK, type JWK, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { TestRedis } from '../support/redis.ts';
import { allFree, hangUp, refusalOf, signingKeyOf, signToken, WAYS, win } from '../support/scenario.ts';
import { type MintedToken, TestServer } from '../support/server.ts';
import { startCall, TestSocket } from '../support/ws-client.ts';

const endpoint = (id: string, more = '') =>
  `\n      - { id: ${id}, flow: flow_a, webrtc: true, target: { kind: echo }${more} }`;
const OTHERS =
  endpoint('ep_page', ', allowed_origins: ["https://app.example"]') + endpoint('ep_one', ', max_sessions: 1');

let redis: TestRedis;
let server: TestServer;
let key: JWK;

beforeAll(async () => {
  redis = await TestRedis.start();
  server = await TestServer.start({ redisUrl: redis.url });
  key = await signingKeyOf(server);
});

afterAll(async () => {
  await server?.stop();
  await redis?.stop();
});

const FORGED_ID = `ct_${'ab'.repeat(12)}_${'cd'.repeat(16)}`;
const nowSeconds = () => Math.floor(Date.now() / 1000);

const claims = (changes: JWTPayload & { team?: string } = {}): JWTPayload => ({
  iss: 'callgate',
  aud: 'callgate',
  jti: FORGED_ID,
  sub: 'ep_echo',
  team: 'team_a',
  iat: nowSeconds(),
  exp: nowSeconds() + 60,
  ...changes,
});

const present = async (at: TestServer, token: string, endpoint_id = 'ep_echo', options: object = {}) =>
  refusalOf(await startCall(at.wsUrl, { endpoint_id, token }, options));

/** The proof that a refusal spent nothing. */
const stillWins = async (minted: MintedToken, options: object = {}) => hangUp(await win(server, minted, options));

describe.each(WAYS)('with %s', (_, early) => {
  it('refuses a start with an unknown field as bad_message and spends nothing', async () => {
    const minted = await server.mint('ep_echo');
    const start = { endpoint_id: 'ep_echo', token: minted.token, colour: 'red' };
    const refusal = await refusalOf(await startCall(server.wsUrl, start, { early }));
    expect(refusal).toEqual({ code: 'bad_message', retryable: false, close: 4400 });
    await stillWins(minted);
  });

  it('refuses what is no token as token_invalid', async () => {
    const refusal = await present(server, 'not-a-token', 'ep_echo', { early });
    expect(refusal).toEqual({ code: 'token_invalid', retryable: false, close: 4401 });
  });

  it('refuses a token whose exp passed longer ago than the leeway as token_expired', async () => {
    const token = await signToken(key, claims({ iat: nowSeconds() - 100, exp: nowSeconds() - 30 }));
    const refusal = await present(server, token, 'ep_echo', { early });
    expect(refusal).toEqual({ code: 'token_expired', retryable: false, close: 4401 });
  });

  it('refuses a token that was never issued as token_unknown', async () => {
    const refusal = await present(server, await signToken(key, claims()), 'ep_echo', { early });
    expect(refusal).toEqual({ code: 'token_unknown', retryable: false, close: 4401 });
  });

  it('refuses a revoked token as token_revoked', async () => {
    const store = new RedisTokenStore(redis.url, { log: createLog('fatal') });
    const { id, token } = await server.mint('ep_echo');
    expect(await store.revoke(id)).toBe('revoked');
    await store.close();
    const refusal = await present(server, token, 'ep_echo', { early });
    expect(refusal).toEqual({ code: 'token_revoked', retryable: false, close: 4401 });
  });

  it('refuses a token of another endpoint as endpoint_mismatch and spends nothing', async () => {
    const minted = await server.mint('ep_echo');
    const refusal = await present(server, minted.token, 'ep_audio', { early });
    expect(refusal).toEqual({ code: 'endpoint_mismatch', retryable: true, close: 4403 });
    await stillWins(minted);
  });

  it('refuses a page that is not on the list as origin_denied and spends nothing', async () => {
    const minted = await server.mint('ep_page');
    const refusal = await present(server, minted.token, 'ep_page', { early, origin: 'https://evil.example' });
    expect(refusal).toEqual({ code: 'origin_denied', retryable: true, close: 4403 });
    await stillWins(minted, { origin: 'https://app.example' });
  });

  it('refuses a bound token without its fingerprint as fingerprint_mismatch and spends nothing', async () => {
    const { fingerprint } = newIdentity();
    const minted = await server.mint('ep_echo', { dtls_fingerprint: `sha-256 ${fingerprint}` });
    const refusal = await present(server, minted.token, 'ep_echo', { early });
    expect(refusal).toEqual({ code: 'fingerprint_mismatch', retryable: true, close: 4403 });
    const start = { endpoint_id: 'ep_echo', token: minted.token };
    const other = { ...start, dtls_fingerprint: `sha-256 ${newIdentity().fingerprint}` };
    expect(await refusalOf(await startCall(server.wsUrl, other, { early }))).toEqual(refusal);
    const own = { ...start, dtls_fingerprint: `SHA-256 ${fingerprint.toLowerCase()}` };
    const socket = await startCall(server.wsUrl, own, { early });
    await socket.expect('offer');
    await hangUp(socket);
  });

  it('refuses at a full endpoint as at_capacity and spends nothing, but says token_used of a spent token', async () => {
    const spent = await server.mint('ep_one');
    const holder = await win(server, spent);
    const waiting = await server.mint('ep_one');
    const refusal = await present(server, waiting.token, 'ep_one', { early });
    expect(refusal).toEqual({ code: 'at_capacity', retryable: true, close: 4429 });
    const again = await present(server, spent.token, 'ep_one', { early });
    expect(again).toEqual({ code: 'token_used', retryable: false, close: 4409 });
    await hangUp(holder);
    await stillWins(waiting);
  });

  it('refuses a token that bought a call as token_used, during the call and after', async () => {
    const minted = await server.mint('ep_echo');
    const socket = await win(server, minted, { early });
    const used = { code: 'token_used', retryable: false, close: 4409 };
    expect(await present(server, minted.token, 'ep_echo', { early })).toEqual(used);
    await hangUp(socket);
    expect(await present(server, minted.token, 'ep_echo', { early })).toEqual(used);
  });
});

it('refuses a token whose record expired, though its JWT is within the leeway, as token_expired', async () => {
  const other = await TestServer.start({
    redisUrl: redis.url,
    like: server,
    config: { tokens: { leeway_seconds: 60 } },
  });
  try {
    const { id, token } = await other.mint('ep_echo', { ttl_seconds: 5 });
    await expect.poll(async () => (await other.read(id)).status, { timeout: 15_000, interval: 200 }).toBe('expired');
    expect(await present(other, token)).toEqual({ code: 'token_expired', retryable: false, close: 4401 });
  } finally {
    await other.stop();
  }
});

it('answers a resume with session_gone', async () => {
  const socket = await TestSocket.open(server.wsUrl);
  socket.send({ type: 'resume', session_id: 'sess_0', ticket: 'nothing' });
  expect(await refusalOf(socket)).toEqual({ code: 'session_gone', retryable: false, close: 4410 });
});

describe('a token that was tampered with is token_invalid', () => {
  const es256 = async (): Promise<JWK> => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return { ...(await exportJWK(privateKey)), alg: 'ES256', kid: key.kid! };
  };
  const ed25519 = async (): Promise<JWK> => {
    const { privateKey } = generateKeyPairSync('ed25519');
    return { ...(await exportJWK(privateKey)), alg: 'EdDSA', kid: key.kid! };
  };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const without = (claim: string) => {
    const rest: JWTPayload = { ...claims() };
    delete rest[claim];
    return rest;
  };
  /** HS256 over the public key, as text or as bytes: the classic confusion of algorithms. */
  const hs256 = (secret: string | Buffer) => {
    const signed = `${part({ alg: 'HS256', kid: key.kid, typ: 'call-token+jwt' })}.${part(claims())}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  };
  const good = () => signToken(key, claims());

  const forgeries: [what: string, make: () => Promise<string> | string][] = [
    ['another signature', async () => `${(await good()).slice(0, -6)}AAAAAA`],
    ['no signature', async () => `${(await good()).split('.').slice(0, 2).join('.')}.`],
    ['two parts', async () => (await good()).split('.').slice(0, 2).join('.')],
    ['a changed payload', async () => (await good()).replace(/\.[^.]+\./, `.${part(claims({ sub: 'ep_audio' }))}.`)],
    ['another key under the same kid', async () => signToken(await ed25519(), claims())],
    ['another algorithm under the same kid', async () => signToken(await es256(), claims())],
    ['an unknown kid', () => signToken(key, claims(), { kid: 'other' })],
    ['no kid', () => signToken(key, claims(), { kid: undefined })],
    ['alg none', () => `${part({ alg: 'none', kid: key.kid, typ: 'call-token+jwt' })}.${part(claims())}.`],
    ['HS256 with the public key as text', () => hs256(key.x!)],
    ['HS256 with the public key as bytes', () => hs256(Buffer.from(key.x!, 'base64url'))],
    [
      'a key of its own in the header',
      async () => signToken(await ed25519(), claims(), { jwk: { ...key, d: undefined } }),
    ],
    ['typ JWT', () => signToken(key, claims(), { typ: 'JWT' })],
    ['no typ', () => signToken(key, claims(), { typ: undefined })],
    ['an unknown critical header', () => signToken(key, claims(), { gate: 1, crit: ['gate'] })],
    ['another issuer', () => signToken(key, claims({ iss: 'other' }))],
    ['another audience', () => signToken(key, claims({ aud: 'other' }))],
    ['another issuer, and expired', () => signToken(key, claims({ iss: 'other', iat: 1, exp: 2 }))],
    ...['iss', 'aud', 'jti', 'sub', 'team', 'iat', 'exp'].map((claim): (typeof forgeries)[number] => [
      `no ${claim}`,
      () => signToken(key, without(claim)),
    ]),
    ['an iat in the future', () => signToken(key, claims({ iat: nowSeconds() + 120, exp: nowSeconds() + 180 }))],
    ['an exp that is a string', () => signToken(key, { ...claims(), exp: String(nowSeconds() + 60) })],
    ['a jti of another form', () => signToken(key, claims({ jti: 'ct_1' }))],
    ['a jti that would change the key', () => signToken(key, claims({ jti: `${FORGED_ID}}x{` }))],
    ['a sub that is a list', () => signToken(key, { ...claims(), sub: ['ep_echo'] })],
    ['a cnf that cannot be checked', () => signToken(key, { ...claims(), cnf: { jkt: 'x' } })],
    ['a cnf that is null', () => signToken(key, { ...claims(), cnf: null })],
    ['a payload that is a list', () => signToken(key, [claims()])],
    ['more than 2048 characters', () => signToken(key, { ...claims(), pad: 'x'.repeat(2048) })],
    ['white space around it', async () => ` ${await good()} `],
  ];

  it.each(forgeries)('%s', async (_, make) => {
    expect(await present(server, await make())).toEqual({ code: 'token_invalid', retryable: false, close: 4401 });
  });

  it('and the same token untouched is not', async () => {
    expect((await present(server, await good())).code).toBe('token_unknown');
  });
});

describe('an endpoint that takes no calls is endpoint_unavailable, and the token is not spent', () => {
  const variants: [what: string, options: object][] = [
    ['its flow is paused', { flowState: 'paused' }],
    ['its flow is archived', { flowState: 'archived' }],
    ['WebRTC is off for the team', { webrtc: false }],
    ['it is disabled', { endpoints: OTHERS + endpoint('ep_echo', ', state: disabled') }],
    ['it does not take WebRTC', { endpoints: OTHERS + endpoint('ep_echo').replace('webrtc: true', 'webrtc: false') }],
    ['it is gone', { endpoints: OTHERS }],
  ];

  it.each(variants)('%s', async (_, options) => {
    const minted = await server.mint('ep_echo');
    const closed = await TestServer.start({ redisUrl: redis.url, like: server, ...options });
    try {
      for (const [, early] of WAYS) {
        const refusal = await present(closed, minted.token, 'ep_echo', { early });
        expect(refusal).toEqual({ code: 'endpoint_unavailable', retryable: true, close: 4404 });
      }
    } finally {
      await closed.stop();
    }
    await stillWins(minted);
  });

  it('it belongs to another team than the token', async () => {
    const { token } = await server.mint('ep_echo');
    const foreign = await signToken(key, { ...decodeJwt(token), team: 'team_b' });
    expect((await present(server, foreign)).code).toBe('endpoint_unavailable');
    await stillWins({ ...(await server.mint('ep_echo')), token });
  });
});

describe('origins', () => {
  const origins: [origin: string | undefined, allowed: boolean][] = [
    [undefined, true],
    ['https://app.example', true],
    ['https://APP.example', true],
    ['http://app.example', false],
    ['https://app.example:8443', false],
    ['https://app.example.evil.example', false],
    ['https://sub.app.example', false],
    ['null', false],
    ['', false],
    ['*', false],
  ];

  it.each(origins)('%s at an endpoint for https://app.example: %s', async (origin, allowed) => {
    const minted = await server.mint('ep_page');
    const start = { endpoint_id: 'ep_page', token: minted.token };
    const headers = origin === undefined ? {} : { origin };
    const socket = await startCall(server.wsUrl, start, { headers });
    const first = await socket.next();
    expect(first).toMatchObject(allowed ? { type: 'offer' } : { type: 'error', code: 'origin_denied' });
    if (allowed) await hangUp(socket);
  });
});

it('ends a bound call whose answer shows another certificate with negotiation_failed', async () => {
  const bound = newIdentity();
  const dtls_fingerprint = `sha-256 ${bound.fingerprint}`;
  const { id, token } = await server.mint('ep_echo', { dtls_fingerprint });
  const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token, dtls_fingerprint });
  const { offer_id, sdp } = await socket.expect('offer');
  socket.send({ type: 'answer', offer_id, sdp: writeAnswer(sdp) });
  expect(await socket.expect('error')).toMatchObject({ code: 'negotiation_failed', retryable: false });
  expect(await socket.expect('ended')).toEqual({ type: 'ended', reason: 'negotiation_failed' });
  expect((await socket.closing()).code).toBe(4422);
  expect(await server.read(id)).toMatchObject({ status: 'completed', session: { end_reason: 'negotiation_failed' } });
});

it('is unavailable while the store is away, and the same token wins when it is back', async () => {
  const minted = await server.mint('ep_echo', { ttl_seconds: 600 });
  redis.pause();
  try {
    for (const [, early] of WAYS) {
      const refusal = await present(server, minted.token, 'ep_echo', { early });
      expect(refusal).toEqual({ code: 'unavailable', retryable: true, close: 4503 });
    }
  } finally {
    redis.resume();
  }
  await expect
    .poll(async () => (await fetch(`${server.running.url}/readyz`)).status, { timeout: 20_000, interval: 200 })
    .toBe(200);
  await stillWins(minted);
});

it('holds nothing in the end', () => allFree(server));

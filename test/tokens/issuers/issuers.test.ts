import { type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CallgateError } from '../../../src/errors.ts';
import { MAX_TOKEN_LENGTH } from '../../../src/protocol/messages.ts';
import { isForeignId } from '../../../src/tokens/claims.ts';
import { newTokenId } from '../../../src/tokens/ids.ts';
import { Issuers } from '../../../src/tokens/issuers/issuers.ts';
import { ephemeralSigningKeys, publicKeySet } from '../../../src/tokens/keys.ts';
import { createSigner } from '../../../src/tokens/signer.ts';
import { createVerifier, type VerifyToken } from '../../../src/tokens/verifier.ts';
import { JwksServer } from '../../support/jwks-server.ts';

const NOW = 1_700_000_000;
const A = 'https://a.example';
const B = 'https://b.example';
const [ours, a, b] = await Promise.all([ephemeralSigningKeys(), ephemeralSigningKeys(), ephemeralSigningKeys()]);
const log = { info: () => undefined, warn: () => undefined };

let serverA: JwksServer;
let serverB: JwksServer;
let issuers: Issuers;
let verify: VerifyToken;
beforeAll(async () => {
  serverA = await JwksServer.start(publicKeySet(a).keys);
  serverB = await JwksServer.start(publicKeySet(b).keys);
  const configs = [
    { iss: A, jwks_url: serverA.url, teams: ['team_a', 'team_x'] },
    { iss: B, jwks_url: serverB.url, teams: ['team_b'] },
  ];
  issuers = new Issuers(configs, { leewaySeconds: 5, log });
  verify = issuers.beside(createVerifier(ours, { issuer: 'callgate', leewaySeconds: 5 }));
});
afterAll(async () => {
  await issuers.close();
  await Promise.all([serverA.stop(), serverB.stop()]);
});

/** A token of platform A, changed in its payload, header or key. */
const sign = (
  payload: Record<string, unknown> = {},
  { header = {}, keys = a }: { header?: object; keys?: typeof a } = {},
): Promise<string> => {
  const claims = { iss: A, aud: 'callgate', jti: 'call 1 ü', sub: 'ep_a', team: 'team_a', iat: NOW, exp: NOW + 600 };
  const { alg, kid, privateKey } = keys.signing;
  return new SignJWT({ ...claims, ...payload } as JWTPayload)
    .setProtectedHeader({ alg, kid, typ: 'call-token+jwt', ...header })
    .sign(privateKey);
};
const refusal = async (token: string | Promise<string>, now = NOW): Promise<string> => {
  const error = await verify(await token, now * 1000).catch((thrown: unknown) => thrown);
  if (!(error instanceof CallgateError)) throw new Error('the token was not refused');
  return error.code;
};

describe('a foreign token', () => {
  test('says what was signed, under an id of ours', async () => {
    const claims = await verify(await sign({ max_duration_seconds: 30 }), NOW * 1000);
    expect(claims).toEqual({
      id: expect.stringMatching(/^ct_0{23}[0-9a-f]_[0-9a-f]{32}$/),
      endpointId: 'ep_a',
      team: 'team_a',
      iat: NOW,
      exp: NOW + 600,
      foreign: { maxDurationSeconds: 30 },
    });
    expect(isForeignId(claims.id)).toBe(true);
    expect(await verify(await sign({ exp: NOW + 60 }), NOW * 1000)).toMatchObject({ id: claims.id, foreign: {} });
  });

  test('has another id with another jti or issuer', async () => {
    const one = await verify(await sign(), NOW * 1000);
    const two = await verify(await sign({ jti: 'call 2' }), NOW * 1000);
    const three = await verify(await sign({ iss: B, team: 'team_b' }, { keys: b }), NOW * 1000);
    expect(new Set([one.id, two.id, three.id]).size).toBe(3);
  });

  test('may be bound to a certificate', async () => {
    const cnf = { 'x5t#S256': Buffer.alloc(32, 1).toString('base64url') };
    expect(await verify(await sign({ cnf }), NOW * 1000)).toMatchObject({
      fingerprint: expect.stringMatching(/^sha-256 01:/),
    });
  });

  test.each([
    ['of an issuer that is not known', { iss: 'https://c.example' }],
    ['of an issuer that is written otherwise', { iss: `${A}/` }],
    ['without iss', { iss: undefined }],
    ['in our own name', { iss: 'callgate' }],
    ['for a team that its issuer does not speak for', { team: 'team_b' }],
    ['without iat', { iat: undefined }],
    ['without exp', { exp: undefined }],
    ['that lives longer than 600 s', { exp: NOW + 601 }],
    ['from the future', { iat: NOW + 6, exp: NOW + 60 }],
    ['for another audience', { aud: 'other' }],
    ['with an empty jti', { jti: '' }],
    ['with a long jti', { jti: 'x'.repeat(257) }],
    ['with a jti that is no string', { jti: 5 }],
    ['with a bad endpoint', { sub: '{x}' }],
    ['with a bad limit', { max_duration_seconds: 0 }],
    ['with a limit that is no number', { max_duration_seconds: '60' }],
    ['with a binding that cannot be checked', { cnf: { jkt: 'x' } }],
  ])('is not valid %s', async (_, payload) => {
    expect(await refusal(sign(payload))).toBe('token_invalid');
  });

  test('is not valid with a key of another issuer, another type or another algorithm', async () => {
    expect(await refusal(sign({}, { keys: b, header: { kid: a.signing.kid } }))).toBe('token_invalid');
    expect(await refusal(sign({}, { keys: ours, header: { kid: a.signing.kid } }))).toBe('token_invalid');
    expect(await refusal(sign({}, { header: { typ: 'JWT' } }))).toBe('token_invalid');
    expect(await refusal(sign({}, { header: { kid: undefined } }))).toBe('token_invalid');
    const [, payload] = (await sign()).split('.');
    const none = Buffer.from('{"alg":"none","typ":"call-token+jwt"}').toString('base64url');
    expect(await refusal(`${none}.${payload}.`)).toBe('token_invalid');
  });

  test('is refused unread when it is too long or no token', async () => {
    expect(await refusal(sign({ more: 'x'.repeat(MAX_TOKEN_LENGTH) }))).toBe('token_invalid');
    for (const junk of ['', 'x', 'a.b.c', '..']) expect(await refusal(junk)).toBe('token_invalid');
  });

  test('expires like any other', async () => {
    expect(await refusal(sign(), NOW + 606)).toBe('token_expired');
  });
});

test('an issuer whose keys cannot be read takes nobody else down', async () => {
  await serverB.stop();
  const other = new Issuers(
    [
      { iss: A, jwks_url: serverA.url, teams: ['team_a'] },
      { iss: B, jwks_url: serverB.url, teams: ['team_b'] },
    ],
    { leewaySeconds: 5, log },
  );
  verify = other.beside(createVerifier(ours, { issuer: 'callgate', leewaySeconds: 5 }));
  expect(await refusal(sign({ iss: B, team: 'team_b' }, { keys: b }))).toBe('unavailable');
  expect((await verify(await sign(), NOW * 1000)).team).toBe('team_a');
  const claims = { id: newTokenId(), endpointId: 'ep_o', team: 'team_o', iat: NOW, exp: NOW + 60 };
  expect(await verify(await createSigner(ours, 'callgate')(claims), NOW * 1000)).toEqual(claims);
  await other.close();
});

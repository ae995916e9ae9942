import { CompactSign, type JWTPayload, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { MAX_TOKEN_LENGTH } from '../../src/protocol/messages.ts';
import { type CallTokenClaims, TOKEN_TYPE, toPayload } from '../../src/tokens/claims.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { createKeySet, ephemeralSigningKeys, importSigningKeys, type SigningKeys } from '../../src/tokens/keys.ts';
import { createSigner } from '../../src/tokens/signer.ts';
import { createVerifier } from '../../src/tokens/verifier.ts';

const NOW = 1_700_000_000_000;
const SECONDS = NOW / 1000;
const FINGERPRINT = `sha-256 ${'AB:'.repeat(31)}CD`;
const claims: CallTokenClaims = {
  id: newTokenId(),
  endpointId: 'ep_echo',
  team: 'team_demo',
  iat: SECONDS,
  exp: SECONDS + 60,
};
const keys = await ephemeralSigningKeys();
const sign = createSigner(keys, 'callgate');
const verifierOf = (set: SigningKeys) => createVerifier(set, { issuer: 'callgate', leewaySeconds: 5 });
const verify = verifierOf(keys);

const refusal = async (token: string, now = NOW, check = verify): Promise<string> => {
  const error = await check(token, now).catch((thrown: unknown) => thrown);
  if (!(error instanceof CallgateError)) throw new Error('the token was not refused');
  return error.code;
};

/** A token that differs from a good one in its header or payload, signed all the same. */
const forge = (
  { header = {}, payload = {} }: { header?: Record<string, unknown>; payload?: Record<string, unknown> },
  set = keys,
): Promise<string> => {
  const { alg, kid, privateKey } = set.signing;
  return new SignJWT({ ...toPayload(claims, 'callgate'), ...payload } as JWTPayload)
    .setProtectedHeader({ alg, kid, typ: TOKEN_TYPE, ...header })
    .sign(privateKey);
};

describe('a good token', () => {
  test.each(['EdDSA', 'ES256'] as const)('signed with %s says what was signed', async (alg) => {
    const set = await importSigningKeys(await createKeySet(alg));
    const token = await createSigner(set, 'callgate')({ ...claims, fingerprint: FINGERPRINT });
    expect(await verifierOf(set)(token, NOW)).toEqual({ ...claims, fingerprint: FINGERPRINT });
    expect(JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString())).toEqual({
      alg,
      kid: set.signing.kid,
      typ: 'call-token+jwt',
    });
    expect(token.length).toBeLessThan(1024);
  });

  test('of an older key verifies as long as the key is in the set', async () => {
    const [older, newer] = await Promise.all([createKeySet('ES256'), createKeySet('EdDSA')]);
    const before = await importSigningKeys(older);
    const rotated = await importSigningKeys({ keys: [...newer.keys, ...older.keys] });
    const token = await createSigner(before, 'callgate')(claims);
    expect(await verifierOf(rotated)(token, NOW)).toEqual(claims);
    expect(rotated.signing.alg).toBe('EdDSA');
    expect(await refusal(token, NOW, verifierOf(await importSigningKeys(newer)))).toBe('token_invalid');
  });
});

describe('an expired token', () => {
  test('is expired after the leeway and not before', async () => {
    const token = await sign(claims);
    expect(await verify(token, NOW + 64_000)).toEqual(claims);
    expect(await refusal(token, NOW + 65_000)).toBe('token_expired');
  });

  test('that is not genuine is invalid all the same', async () => {
    const token = await sign(claims);
    const late = NOW + 1_000_000;
    expect(await refusal(`${token.slice(0, -20)}${'A'.repeat(20)}`, late)).toBe('token_invalid');
    expect(await refusal(await forge({ payload: { jti: 'nothing' } }), late)).toBe('token_invalid');
    expect(await refusal(await forge({ payload: { cnf: {} } }), late)).toBe('token_invalid');
    expect(await refusal(await forge({ payload: { iss: 'else' } }), late)).toBe('token_invalid');
  });
});

describe('an invalid token', () => {
  test.each([
    ['another typ', { header: { typ: 'JWT' } }],
    ['no typ', { header: { typ: undefined } }],
    ['an unknown kid', { header: { kid: 'other' } }],
    ['no kid', { header: { kid: undefined } }],
    ['another issuer', { payload: { iss: 'other' } }],
    ['another audience', { payload: { aud: 'other' } }],
    ['no audience', { payload: { aud: undefined } }],
    ['no expiry', { payload: { exp: undefined } }],
    ['no start', { payload: { iat: undefined } }],
    ['a start in the future', { payload: { iat: SECONDS + 30 } }],
    ['a later nbf', { payload: { nbf: SECONDS + 30 } }],
    ['an id that no store issues', { payload: { jti: 'ct_a_b' } }],
    ['no subject', { payload: { sub: undefined } }],
    ['no team', { payload: { team: undefined } }],
  ])('has %s', async (_, change) => {
    expect(await refusal(await forge(change))).toBe('token_invalid');
  });

  test('is signed by a stranger with the same kid', async () => {
    const stranger = await importSigningKeys({
      keys: [{ ...(await createKeySet('EdDSA')).keys[0], kid: keys.signing.kid }],
    });
    expect(await refusal(await forge({}, stranger))).toBe('token_invalid');
  });

  test('carries its own key, or claims the algorithm of another', async () => {
    const stranger = await importSigningKeys(await createKeySet('ES256'));
    const header = { jwk: stranger.signing.publicJwk, kid: keys.signing.kid };
    expect(await refusal(await forge({ header }, stranger))).toBe('token_invalid');
  });

  test('is unsigned', async () => {
    const [, payload] = (await sign(claims)).split('.');
    for (const header of [
      { alg: 'none', typ: TOKEN_TYPE },
      { alg: 'HS256', kid: keys.signing.kid, typ: TOKEN_TYPE },
    ]) {
      const encoded = Buffer.from(JSON.stringify(header)).toString('base64url');
      expect(await refusal(`${encoded}.${payload}.`)).toBe('token_invalid');
      expect(await refusal(`${encoded}.${payload}.AAAA`)).toBe('token_invalid');
    }
  });

  test('asks for an extension that is not understood', async () => {
    const { alg, kid, privateKey } = keys.signing;
    const token = await new CompactSign(new TextEncoder().encode(JSON.stringify(toPayload(claims, 'callgate'))))
      .setProtectedHeader({ alg, kid, typ: TOKEN_TYPE, crit: ['x'], x: 1 })
      .sign(privateKey, { crit: { x: true } });
    expect(await refusal(token)).toBe('token_invalid');
  });

  test.each(['', 'a', 'a.b.c', '..', 'é.é.é', 'x'.repeat(MAX_TOKEN_LENGTH + 1)])('is not a JWT: %#', async (token) => {
    expect(await refusal(token)).toBe('token_invalid');
  });

  test('is longer than a token can be', async () => {
    expect(await refusal(await forge({ payload: { more: 'x'.repeat(MAX_TOKEN_LENGTH) } }))).toBe('token_invalid');
  });
});

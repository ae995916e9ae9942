import { describe, expect, test } from 'vitest';
import {
  formatTokenId,
  isName,
  parseTokenId,
  readPayload,
  sameFingerprint,
  toFingerprint,
  toPayload,
  toThumbprint,
} from '../../src/tokens/claims.ts';
import { newTokenId } from '../../src/tokens/ids.ts';

const FINGERPRINT = `sha-256 ${Array.from({ length: 32 }, (_, i) => (i * 7).toString(16).padStart(2, '0').toUpperCase()).join(':')}`;
const claims = { id: newTokenId(), endpointId: 'ep_echo', team: 'team_demo', iat: 1000, exp: 1060 };
const at = { now: 1010, leeway: 5 };

describe('a token id', () => {
  test('has a family and a random part and survives the way there and back', () => {
    const id = newTokenId();
    const parts = parseTokenId(id);
    expect(parts).toBeDefined();
    expect(parts && formatTokenId(parts)).toBe(id);
    expect((parts?.family.length ?? 0) * 4).toBeGreaterThanOrEqual(96);
    expect((parts?.random.length ?? 0) * 4).toBeGreaterThanOrEqual(128);
  });

  test('keeps the family it is given and is never the same twice', () => {
    const first = newTokenId();
    const family = parseTokenId(first)?.family ?? '';
    const second = newTokenId(family);
    expect(parseTokenId(second)?.family).toBe(family);
    expect(second).not.toBe(first);
  });

  test.each(['', 'ct_', 'ct_a_b', `${newTokenId()}\n`, newTokenId().toUpperCase(), `x${newTokenId()}`, 'ct_{}_*'])(
    'is not %j',
    (id) => {
      expect(parseTokenId(id)).toBeUndefined();
    },
  );
});

test.each(['', 'ep{x}', 'ep x', 'ep\n', 'é', 'x'.repeat(129), 7, undefined])('%j is no name', (name) => {
  expect(isName(name)).toBe(false);
});

describe('a DTLS fingerprint', () => {
  test('is the base64url of the same hash', () => {
    expect(toThumbprint(FINGERPRINT)).toMatch(/^[\w-]{43}$/);
    expect(toFingerprint(toThumbprint(FINGERPRINT))).toBe(FINGERPRINT);
    expect(toThumbprint(FINGERPRINT.toLowerCase())).toBe(toThumbprint(FINGERPRINT));
  });

  test('is compared whatever its case', () => {
    expect(sameFingerprint(FINGERPRINT, FINGERPRINT.toLowerCase())).toBe(true);
    expect(sameFingerprint(FINGERPRINT, FINGERPRINT.replace('00', '01'))).toBe(false);
  });

  test.each(['', 'sha-1 AA:BB', `sha-512 ${FINGERPRINT.slice(8)}`, `${FINGERPRINT}:AA`])('is not %j', (text) => {
    expect(() => toThumbprint(text)).toThrow(TypeError);
  });
});

describe('the payload of a token', () => {
  test('says what it was made from', () => {
    expect(readPayload(toPayload(claims, 'callgate'), at)).toEqual(claims);
    const bound = { ...claims, fingerprint: FINGERPRINT };
    expect(toPayload(bound, 'callgate').cnf).toEqual({ 'x5t#S256': toThumbprint(FINGERPRINT) });
    expect(readPayload(toPayload(bound, 'callgate'), at)).toEqual(bound);
  });

  test.each([
    ['another jti', { jti: 'ct_1' }],
    ['no jti', { jti: undefined }],
    ['an endpoint that is no name', { sub: 'ep {x}' }],
    ['a team that is no name', { team: 5 }],
    ['a time that is no number', { iat: '1000' }],
    ['no expiry', { exp: undefined }],
    ['an expiry before its start', { exp: 1000 }],
    ['a start in the future', { iat: 1016 }],
    ['a binding to something else', { cnf: { jkt: 'x' } }],
    ['a binding that is no hash', { cnf: { 'x5t#S256': 'abc' } }],
    ['an empty binding', { cnf: null }],
  ])('with %s is refused', (_, change) => {
    expect(readPayload({ ...toPayload(claims, 'callgate'), ...change }, at)).toBeUndefined();
  });

  test('may start a leeway ahead of the clock', () => {
    expect(readPayload({ ...toPayload(claims, 'callgate'), iat: 1015 }, at)).toBeDefined();
  });
});

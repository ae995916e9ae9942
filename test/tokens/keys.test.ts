import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKeySet, importSigningKeys, KeySetError, loadSigningKeys, publicKeySet } from '../../src/tokens/keys.ts';

const [eddsa, es256] = await Promise.all([newKey('EdDSA'), newKey('ES256')]);

async function newKey(alg: 'EdDSA' | 'ES256'): Promise<JWK> {
  return (await createKeySet(alg)).keys[0]!;
}

const failure = async (keys: unknown): Promise<string> => {
  const error = await importSigningKeys({ keys }).catch((thrown: unknown) => thrown);
  if (!(error instanceof KeySetError)) throw new Error('the keys were not refused');
  return error.message;
};

describe('a set of signing keys', () => {
  test('signs with the first key and verifies with all', async () => {
    const keys = await importSigningKeys({ keys: [es256, eddsa] });
    expect(keys.signing).toMatchObject({ kid: es256.kid, alg: 'ES256' });
    expect([...keys.verifying.keys()]).toEqual([es256.kid, eddsa.kid]);
  });

  test('shows public halves only', async () => {
    const set = publicKeySet(await importSigningKeys({ keys: [eddsa, es256] }));
    expect(set.keys).toHaveLength(2);
    expect(set.keys[0]).toEqual({ kty: 'OKP', crv: 'Ed25519', x: eddsa.x, kid: eddsa.kid, alg: 'EdDSA', use: 'sig' });
    expect(JSON.stringify(set)).not.toContain(eddsa.d);
    expect(JSON.stringify(set)).not.toContain(es256.d);
  });

  test('names a key without a kid by its thumbprint', async () => {
    const { kid: _, ...nameless } = eddsa;
    const keys = await importSigningKeys({ keys: [nameless] });
    expect(keys.signing.kid).toBe(await calculateJwkThumbprint(eddsa));
  });

  test('may hold the public half of a retired key', async () => {
    const { d: _, ...retired } = es256;
    const keys = await importSigningKeys({ keys: [eddsa, retired] });
    expect(keys.verifying.size).toBe(2);
    expect(await failure([retired])).toContain('private');
  });

  test.each<[string, unknown, string]>([
    ['nothing', [], 'at least one'],
    ['too many', Array.from({ length: 17 }, () => eddsa), '16'],
    ['the same kid twice', [eddsa, { ...es256, kid: eddsa.kid }], 'key 2: its kid is taken'],
    ['a symmetric key', [eddsa, { kty: 'oct', k: 'c2VjcmV0LXNlY3JldA' }], 'key 2: a symmetric'],
    ['another curve', [{ ...es256, crv: 'P-384' }], 'key 1: neither'],
    ['X25519', [{ ...eddsa, crv: 'X25519' }], 'key 1: neither'],
    ['an alg of another key', [{ ...eddsa, alg: 'ES256' }], 'key 1: its alg'],
    ['an encryption key', [{ ...eddsa, use: 'enc' }], 'key 1: its use'],
    ['a kid that is no name', [{ ...eddsa, kid: 'a\nb' }], 'key 1: kid'],
    ['half a key', [{ ...es256, y: undefined }], 'key 1: y has'],
    ['something else', ['key'], 'key 1: not a JWK'],
  ])('with %s is refused and says so', async (_, keys, message) => {
    expect(await failure(keys)).toContain(message);
  });

  test('whose private and public halves differ is refused', async () => {
    const other = await newKey('EdDSA');
    const message = await failure([{ ...eddsa, x: other.x }]);
    expect(message).toContain('halves differ');
    const wrong = await newKey('ES256');
    expect(await failure([{ ...es256, x: wrong.x, y: wrong.y }])).toContain('halves differ');
  });

  test('of an RSA key is refused', async () => {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true });
    expect(await failure([await exportJWK(privateKey)])).toContain('key 1: neither');
  });

  test('never shows key material in an error', async () => {
    const messages = await Promise.all([
      failure([{ ...eddsa, x: es256.x }]),
      failure([eddsa, eddsa]),
      failure([{ ...eddsa, d: `${eddsa.d}!` }]),
    ]);
    for (const message of messages) expect(message).not.toContain(eddsa.d?.slice(0, 8));
  });
});

describe('a file of signing keys', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'callgate-keys-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  test('is read as it was made', async () => {
    const path = join(dir, 'keys.json');
    await writeFile(path, JSON.stringify(await createKeySet('EdDSA')));
    expect((await loadSigningKeys(path)).signing.alg).toBe('EdDSA');
  });

  test('may have been saved with a byte order mark, and as UTF-16 is told so by its name', async () => {
    const path = join(dir, 'edited.json');
    const text = `\uFEFF${JSON.stringify(await createKeySet('EdDSA'))}`;
    await writeFile(path, text);
    expect((await loadSigningKeys(path)).signing.alg).toBe('EdDSA');
    await writeFile(path, Buffer.from(text, 'utf16le'));
    await expect(loadSigningKeys(path)).rejects.toThrow(new KeySetError(`${path}: is UTF-16; save it as UTF-8`));
  });

  test('that holds something else is named', async () => {
    const path = join(dir, 'other.json');
    for (const [text, what] of [
      ['keys: []', 'the signing keys are not JSON'],
      ['{"keys":[]}', 'the signing keys are not a JWK set'],
      [JSON.stringify({ keys: [{ ...eddsa, use: 'enc' }] }), 'key 1: its use'],
    ] as const) {
      await writeFile(path, text);
      await expect(loadSigningKeys(path)).rejects.toThrow(`${path}: ${what}`);
    }
  });

  test('that is broken or missing is told without a word of it', async () => {
    const path = join(dir, 'broken.json');
    await writeFile(path, JSON.stringify({ keys: [eddsa] }).slice(0, -3));
    const error = await loadSigningKeys(path).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(KeySetError);
    expect(String(error) + String((error as Error).cause)).not.toContain(eddsa.d?.slice(0, 8));
    await expect(loadSigningKeys(join(dir, 'nothing.json'))).rejects.toThrow('ENOENT');
  });
});

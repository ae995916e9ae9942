import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import {
  CompactSign,
  type CryptoKey,
  calculateJwkThumbprint,
  compactVerify,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from 'jose';
import type { Logger } from 'pino';
import { readTextFile, TextFileError } from '../shared/text-file.ts';
import type { TokenAlgorithm } from './claims.ts';

export interface VerificationKey {
  kid: string;
  alg: TokenAlgorithm;
  publicKey: CryptoKey;
  publicJwk: JWK;
}

export interface SigningKeys {
  /** The first key of the set. */
  signing: VerificationKey & { privateKey: KeyObject };
  /** Every key of the set by its `kid`, the signing one included. */
  verifying: ReadonlyMap<string, VerificationKey>;
}

/** A key set that cannot be used. Its message names the key by position and never holds key material. */
export class KeySetError extends Error {
  override readonly name = 'KeySetError';
}

const MAX_FILE_BYTES = 64 * 1024;
const MAX_KEYS = 16;
const MAX_PUBLISHED_KEYS = 64;
const MAX_KID_LENGTH = 256;
const KID = /^[A-Za-z0-9_.:=-]{1,128}$/;
const MEMBER = /^[A-Za-z0-9_-]{43}$/;

/**
 * Reads a JWK set file (RFC 7517 section 5): the first key signs and must be private, all verify.
 * @throws KeySetError when the file cannot be read or holds anything but distinct Ed25519 and P-256 keys
 */
export async function loadSigningKeys(path: string): Promise<SigningKeys> {
  try {
    return await importSigningKeys(parse(await readTextFile(path, { maxBytes: MAX_FILE_BYTES })));
  } catch (error) {
    if (error instanceof TextFileError) throw new KeySetError(error.message);
    throw error instanceof KeySetError ? new KeySetError(`${path}: ${error.message}`) : error;
  }
}

// JSON.parse quotes its input in the error, which would be key material here.
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KeySetError('the signing keys are not JSON');
  }
}

/** Imports a JWK set; see {@link loadSigningKeys}. */
export async function importSigningKeys(set: unknown): Promise<SigningKeys> {
  const jwks = isRecord(set) && Array.isArray(set.keys) ? (set.keys as unknown[]) : undefined;
  if (!jwks?.length) throw new KeySetError('the signing keys are not a JWK set with at least one key');
  if (jwks.length > MAX_KEYS) throw new KeySetError(`the signing keys are more than ${MAX_KEYS}`);

  const keys = await Promise.all(jwks.map((jwk, index) => importKey(jwk, `key ${index + 1}`)));
  const verifying = new Map<string, VerificationKey>();
  for (const [index, key] of keys.entries()) {
    if (verifying.has(key.kid)) throw new KeySetError(`key ${index + 1}: its kid is taken by an earlier key`);
    verifying.set(key.kid, key);
  }
  const [signing] = keys;
  if (!signing?.privateKey) throw new KeySetError('key 1: it signs, so it must be private (no d)');
  return { signing: { ...signing, privateKey: signing.privateKey }, verifying };
}

/** The keys of this file; without one, a key that lives as long as the process. */
export async function openSigningKeys(path: string | undefined, log: Pick<Logger, 'warn'>): Promise<SigningKeys> {
  if (path !== undefined) return loadSigningKeys(path);
  log.warn('no signing keys are configured: made one for this run, tokens end with the process');
  return ephemeralSigningKeys();
}

/** A key that lives as long as the process. */
export const ephemeralSigningKeys = async (): Promise<SigningKeys> => importSigningKeys(await createKeySet('EdDSA'));

/** A JWK set of one new private key, as `callgate keys signing` prints it. */
export async function createKeySet(alg: TokenAlgorithm): Promise<{ keys: JWK[] }> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { keys: [{ ...jwk, kid: await calculateJwkThumbprint(jwk), alg, use: 'sig' }] };
}

/** The public half of every key, for `/.well-known/jwks.json`. */
export const publicKeySet = ({ verifying }: SigningKeys): { keys: JWK[] } => ({
  keys: [...verifying.values()].map(({ publicJwk }) => publicJwk),
});

/**
 * The keys of a JWK set that somebody else publishes, by their `kid` or else their thumbprint. What cannot verify call
 * tokens is left out (RFC 7517 section 5), and so is a key whose private half is published.
 * @throws KeySetError when it is no JWK set
 */
export async function importPublishedKeys(set: unknown): Promise<ReadonlyMap<string, VerificationKey>> {
  const jwks = isRecord(set) && Array.isArray(set.keys) ? (set.keys as unknown[]) : undefined;
  if (!jwks) throw new KeySetError('it is not a JWK set');
  const keys = await Promise.all(jwks.slice(0, MAX_PUBLISHED_KEYS).map(importPublished));
  return new Map(keys.flatMap((key): [string, VerificationKey][] => (key ? [[key.kid, key]] : [])).reverse());
}

async function importPublished(jwk: unknown): Promise<VerificationKey | undefined> {
  if (!isRecord(jwk) || jwk.d !== undefined) return undefined;
  // Others name their keys as they like.
  const { kid, ...unnamed } = jwk;
  const key = await importKey(unnamed, '').catch(() => undefined);
  if (!key || kid === undefined) return key;
  return typeof kid === 'string' && kid.length <= MAX_KID_LENGTH ? { ...key, kid } : undefined;
}

async function importKey(jwk: unknown, name: string): Promise<VerificationKey & { privateKey?: KeyObject }> {
  if (!isRecord(jwk)) throw new KeySetError(`${name}: not a JWK`);
  const alg = algorithmOf(jwk, name);
  const { kty, crv, x, y, d } = jwk;
  const members = alg === 'ES256' ? { x, y } : { x };
  for (const [member, value] of Object.entries({ ...members, ...(d !== undefined && { d }) })) {
    if (typeof value !== 'string' || !MEMBER.test(value)) throw new KeySetError(`${name}: ${member} has a wrong form`);
  }
  // Only the members that make up the key: another one (key_ops, ext) must not change what the import means.
  const bare = { kty, crv, ...members } as JWK;
  const kid = jwk.kid ?? (await calculateJwkThumbprint(bare));
  if (typeof kid !== 'string' || !KID.test(kid)) throw new KeySetError(`${name}: kid has a wrong form`);
  const publicJwk: JWK = { ...bare, kid, alg, use: 'sig' };
  try {
    const publicKey = (await importJWK(bare, alg)) as CryptoKey;
    if (d === undefined) return { kid, alg, publicKey, publicJwk };
    const privateKey = createPrivateKey({ key: { ...bare, d } as JsonWebKey, format: 'jwk' });
    const probe = await new CompactSign(new Uint8Array(1)).setProtectedHeader({ alg }).sign(privateKey);
    await compactVerify(probe, publicKey);
    return { kid, alg, publicKey, publicJwk, privateKey };
  } catch {
    throw new KeySetError(`${name}: not a valid key, or its private and public halves differ`);
  }
}

function algorithmOf(jwk: Record<string, unknown>, name: string): TokenAlgorithm {
  if (jwk.kty === 'oct') throw new KeySetError(`${name}: a symmetric key cannot sign call tokens`);
  const alg =
    jwk.kty === 'OKP' && jwk.crv === 'Ed25519'
      ? 'EdDSA'
      : jwk.kty === 'EC' && jwk.crv === 'P-256'
        ? 'ES256'
        : undefined;
  if (!alg) throw new KeySetError(`${name}: neither an Ed25519 (OKP) nor a P-256 (EC) key`);
  // RFC 9864 gives EdDSA with Ed25519 a name of its own.
  const names: unknown[] = alg === 'EdDSA' ? [undefined, 'EdDSA', 'Ed25519'] : [undefined, 'ES256'];
  if (!names.includes(jwk.alg)) throw new KeySetError(`${name}: its alg is not ${alg}`);
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new KeySetError(`${name}: its use is not sig`);
  return alg;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

import { createHmac, generateKeyPairSync, generateKeySync, type KeyObject, sign, verify } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { type CallTokenClaims, TOKEN_AUDIENCE, TOKEN_TYPE, toPayload } from '../../src/tokens/claims.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { createKeySet, importSigningKeys } from '../../src/tokens/keys.ts';
import { createSigner } from '../../src/tokens/signer.ts';
import { createVerifier } from '../../src/tokens/verifier.ts';
import { rate } from '../shared/rates.ts';
import { inRounds, type Row, row, type Setting } from './measure.ts';

const ISSUER = 'callgate';
const LEEWAY_SECONDS = 5;
const IN_FLIGHT = 64;

type Algorithm = 'EdDSA' | 'ES256' | 'HS256';

interface Tokens {
  sign(claims: CallTokenClaims): string | Promise<string>;
  verify(token: string): unknown;
}

interface Bytes {
  sign(data: Buffer): Buffer;
  verify(data: Buffer, signature: Buffer): boolean;
}

interface Cost {
  perSecond: number;
  /** CPU microseconds of one, of all threads. */
  cpu: number;
}

/**
 * Tokens signed and verified as the server does it, beside nothing but the signature of the same bytes. HS256, which the
 * server does not take, goes through jose.
 */
export async function benchSignatures(setting: Setting): Promise<Row[]> {
  const count = setting.pick(2000, 1000);
  const rows: Row[] = [];
  for (const alg of ['EdDSA', 'ES256', 'HS256'] as const) {
    const [tokens, bytes] = [alg === 'HS256' ? await joseTokens() : await ourTokens(alg), bareBytes(alg)];
    const costs = { sign: rowsFor(alg, 'signed'), verify: rowsFor(alg, 'verified') };
    await inRounds(setting, alg, async (record) => {
      const signed: string[] = [];
      const all = claims(count);
      const signing = await costOf(count, async (i) => {
        signed[i] = await tokens.sign(all[i]!);
      });
      const verifying = await costOf(count, (i) => tokens.verify(signed[i]!));
      const data = signed.map((token) => Buffer.from(token.slice(0, token.lastIndexOf('.'))));
      const signatures: Buffer[] = [];
      const bareSigning = await costOf(count, (i) => {
        signatures[i] = bytes.sign(data[i]!);
      });
      const bareVerifying = await costOf(count, (i) => {
        if (!bytes.verify(data[i]!, signatures[i]!)) throw new Error('a signature is not its own');
      });
      if (!record) return;
      costs.sign.record(signing, bareSigning);
      costs.verify.record(verifying, bareVerifying);
    });
    rows.push(...costs.sign.all, ...costs.verify.all);
  }
  return rows;
}

async function costOf(count: number, run: (index: number) => unknown): Promise<Cost> {
  const before = process.cpuUsage();
  const perSecond = await rate(count, IN_FLIGHT, run);
  const { user, system } = process.cpuUsage(before);
  return { perSecond, cpu: (user + system) / count };
}

function rowsFor(alg: Algorithm, done: string) {
  const floorIs = 'node:crypto on the same bytes';
  const what = alg === 'HS256' ? `tokens ${done}, HS256 (not taken; jose)` : `tokens ${done}, ${alg}`;
  const rates = row(what, '/s', { floorIs });
  const cpu = row('  CPU of one', 'µs', { floorIs });
  return {
    all: [rates, cpu],
    record(ours: Cost, bare: Cost) {
      rates.ours.push(ours.perSecond);
      rates.floor.push(bare.perSecond);
      cpu.ours.push(ours.cpu);
      cpu.floor.push(bare.cpu);
    },
  };
}

const claims = (count: number): CallTokenClaims[] => {
  const iat = Math.floor(Date.now() / 1000);
  return Array.from({ length: count }, () => ({
    id: newTokenId(),
    endpointId: 'ep_bench',
    team: 'team_bench',
    iat,
    exp: iat + 60,
  }));
};

async function ourTokens(alg: 'EdDSA' | 'ES256'): Promise<Tokens> {
  const keys = await importSigningKeys(await createKeySet(alg));
  const verifyToken = createVerifier(keys, { issuer: ISSUER, leewaySeconds: LEEWAY_SECONDS });
  return { sign: createSigner(keys, ISSUER), verify: (token) => verifyToken(token, Date.now()) };
}

async function joseTokens(): Promise<Tokens> {
  const key = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
  const header = { alg: 'HS256', kid: 'bench', typ: TOKEN_TYPE };
  const options = { algorithms: ['HS256'], typ: TOKEN_TYPE, issuer: ISSUER, audience: TOKEN_AUDIENCE };
  return {
    sign: (claims) => new SignJWT(toPayload(claims, ISSUER)).setProtectedHeader(header).sign(key),
    verify: (token) => jwtVerify(token, key, { ...options, clockTolerance: LEEWAY_SECONDS }),
  };
}

function bareBytes(alg: Algorithm): Bytes {
  if (alg === 'HS256') {
    const key = generateKeySync('hmac', { length: 256 });
    const mac = (data: Buffer) => createHmac('sha256', key).update(data).digest();
    return { sign: mac, verify: (data, signature) => mac(data).equals(signature) };
  }
  const keys = alg === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const hash = alg === 'EdDSA' ? null : 'sha256';
  const raw = (key: KeyObject) => ({ key, dsaEncoding: 'ieee-p1363' }) as const;
  return {
    sign: (data) => sign(hash, data, raw(keys.privateKey)),
    verify: (data, signature) => verify(hash, data, raw(keys.publicKey), signature),
  };
}

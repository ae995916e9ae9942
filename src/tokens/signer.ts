import { sign } from 'node:crypto';
import { type CallTokenClaims, TOKEN_TYPE, toPayload } from './claims.ts';
import type { SigningKeys } from './keys.ts';

/** Signs claims into a compact JWT (RFC 7515 section 7.1). */
export type SignToken = (claims: CallTokenClaims) => string;

/** A signer of call tokens. */
export function createSigner(keys: SigningKeys, issuer: string): SignToken {
  const sign = signerOf(keys, TOKEN_TYPE);
  return (claims) => sign(toPayload(claims, issuer));
}

/**
 * A signer of JWTs of this `typ` that uses the first key of the set. It signs at once: WebCrypto, which jose is built on, hands
 * each signature to a thread and back, and that costs more than twice what the signature does.
 */
export function signerOf({ signing }: SigningKeys, typ: string): (payload: object) => string {
  const header = encode({ alg: signing.alg, kid: signing.kid, typ });
  const key = signing.privateKey;
  const how =
    signing.alg === 'ES256'
      ? // RFC 7518 section 3.4: R and S side by side, not in DER.
        ({ hash: 'sha256', key: { key, dsaEncoding: 'ieee-p1363' } } as const)
      : ({ hash: null, key } as const);
  return (payload) => {
    const signed = `${header}.${encode(payload)}`;
    return `${signed}.${sign(how.hash, Buffer.from(signed), how.key).toString('base64url')}`;
  };
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

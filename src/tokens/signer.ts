import { SignJWT } from 'jose';
import { type CallTokenClaims, TOKEN_TYPE, toPayload } from './claims.ts';
import type { SigningKeys } from './keys.ts';

/** Signs claims into a compact JWT. */
export type SignToken = (claims: CallTokenClaims) => Promise<string>;

/** A signer that uses the first key of the set. */
export function createSigner({ signing }: SigningKeys, issuer: string): SignToken {
  const header = { alg: signing.alg, kid: signing.kid, typ: TOKEN_TYPE };
  return (claims) => new SignJWT(toPayload(claims, issuer)).setProtectedHeader(header).sign(signing.privateKey);
}

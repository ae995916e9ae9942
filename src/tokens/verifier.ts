import { type CryptoKey, decodeJwt, errors, type JWTHeaderParameters, type JWTPayload, jwtVerify } from 'jose';
import { CallgateError } from '../errors.ts';
import { MAX_TOKEN_LENGTH } from '../protocol/messages.ts';
import { type CallTokenClaims, readPayload, TOKEN_ALGORITHMS, TOKEN_AUDIENCE, TOKEN_TYPE } from './claims.ts';
import type { SigningKeys, VerificationKey } from './keys.ts';

/**
 * Checks a token at `now` (epoch milliseconds) and returns what it says.
 * Rejects with `CallgateError`: `token_invalid` before `token_expired`, so that only a genuine token can be expired; or
 * `unavailable`, retryable, while the key of another issuer cannot be looked up.
 */
export type VerifyToken = (token: string, now: number) => Promise<CallTokenClaims>;

/** What the tokens of one issuer have to be. */
export interface JwtRules {
  issuer: string;
  leewaySeconds: number;
  /** The key of a `kid`; undefined when there is none. May reject with `CallgateError`. */
  find: (kid: string) => VerificationKey | undefined | Promise<VerificationKey | undefined>;
  /** The claims of a payload whose signature, `iss` and `aud` are good; undefined when they are not right. */
  read: (payload: JWTPayload, at: { now: number; leeway: number }) => CallTokenClaims | undefined;
}

/** A verifier of the tokens that this server signs. */
export const createVerifier = (
  { verifying }: SigningKeys,
  { issuer, leewaySeconds }: { issuer: string; leewaySeconds: number },
): VerifyToken => jwtVerifier({ issuer, leewaySeconds, find: (kid) => verifying.get(kid), read: readPayload });

export function jwtVerifier({ issuer, leewaySeconds, find, read }: JwtRules): VerifyToken {
  const options = {
    algorithms: [...TOKEN_ALGORITHMS],
    typ: TOKEN_TYPE,
    issuer,
    audience: TOKEN_AUDIENCE,
    requiredClaims: ['jti', 'sub', 'team', 'iat', 'exp'],
    clockTolerance: leewaySeconds,
  };
  // RFC 8725 section 3.1: a key works with its own algorithm only. Keys never come from the header.
  const keyOf = async ({ kid, alg }: JWTHeaderParameters): Promise<CryptoKey> => {
    const key = typeof kid === 'string' ? await find(kid) : undefined;
    if (!key || key.alg !== alg) throw new errors.JWKSNoMatchingKey();
    return key.publicKey;
  };

  return async (token, now) => {
    if (token.length > MAX_TOKEN_LENGTH) throw new CallgateError('token_invalid');
    const { payload, expired } = await jwtVerify(token, keyOf, { ...options, currentDate: new Date(now) }).then(
      (result) => ({ payload: result.payload, expired: false }),
      payloadOfExpired,
    );
    const claims = read(payload, { now: now / 1000, leeway: leewaySeconds });
    if (!claims) throw new CallgateError('token_invalid');
    if (expired) throw new CallgateError('token_expired');
    return claims;
  };
}

/** The id that a token claims to have, unverified; undefined for what is no token. */
export function claimedId(token: string): string | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined;
  try {
    return decodeJwt(token).jti;
  } catch {
    return undefined;
  }
}

// An expired token is genuine in every other way that jose looks at; the rest of its claims is still to be read.
function payloadOfExpired(error: unknown): { payload: JWTPayload; expired: true } {
  if (error instanceof errors.JWTExpired) return { payload: error.payload, expired: true };
  throw error instanceof CallgateError ? error : new CallgateError('token_invalid');
}

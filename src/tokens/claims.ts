/** JOSE `typ` of a call token (RFC 8725 section 3.11: explicit typing keeps other JWTs out). */
export const TOKEN_TYPE = 'call-token+jwt';
export const TOKEN_AUDIENCE = 'callgate';
/** RFC 8725 section 3.1: the algorithms are fixed here and never taken from the token. */
export const TOKEN_ALGORITHMS = ['EdDSA', 'ES256'] as const;
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];

/** Bytes of randomness in the two parts of a token id, written in lower-case hex. */
export const FAMILY_BYTES = 12;
export const RANDOM_BYTES = 16;

/** What a call token says. Times are NumericDate seconds (RFC 7519 section 2). */
export interface CallTokenClaims {
  /** `ct_<family>_<random>`, the `jti`. */
  id: string;
  /** The `sub`. */
  endpointId: string;
  team: string;
  iat: number;
  exp: number;
  /** Present when another platform minted the token: `id` is then made from its `iss` and `jti`. */
  foreign?: {
    /** Longest session that it asks for; the endpoint's limit holds as well. */
    maxDurationSeconds?: number;
  };
  /** Certificate that the token is bound to, as `sha-256 AA:BB:…` (`cnf`, RFC 8705 section 3.1). */
  fingerprint?: string;
}

export interface TokenId {
  family: string;
  random: string;
}

const TOKEN_ID = new RegExp(`^ct_([0-9a-f]{${FAMILY_BYTES * 2}})_([0-9a-f]{${RANDOM_BYTES * 2}})$`);
const NAME = /^[A-Za-z0-9_.:-]{1,128}$/;
const FINGERPRINT = /^sha-256 ([0-9a-f]{2}(?::[0-9a-f]{2}){31})$/i;
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;

/**
 * Families of foreign tokens: few, because each is a partition with a fence of its own, and not those of our own
 * tokens, which are random.
 */
export const FOREIGN_FAMILIES: readonly string[] = Array.from({ length: 16 }, (_, partition) =>
  partition.toString(16).padStart(FAMILY_BYTES * 2, '0'),
);

export const isForeignId = (id: string): boolean => FOREIGN_FAMILIES.includes(parseTokenId(id)?.family ?? '');

export const formatTokenId = ({ family, random }: TokenId): string => `ct_${family}_${random}`;

/** The parts of a token id; undefined for anything else. */
export function parseTokenId(id: string): TokenId | undefined {
  const [, family, random] = TOKEN_ID.exec(id) ?? [];
  return family && random ? { family, random } : undefined;
}

/** Whether a string can name an endpoint, a team or a session: bounded, and no character that means something in a key. */
export const isName = (value: unknown): value is string => typeof value === 'string' && NAME.test(value);

/** `sha-256 AA:BB:…` (RFC 8122 section 5, any case) to the `x5t#S256` of the same hash (RFC 8705 section 3.1). */
export function toThumbprint(fingerprint: string): string {
  const hex = FINGERPRINT.exec(fingerprint)?.[1];
  if (!hex) throw new TypeError('a fingerprint is sha-256 and 32 colon-separated octets');
  return Buffer.from(hex.replaceAll(':', ''), 'hex').toString('base64url');
}

/** `x5t#S256` to `sha-256 AA:BB:…`, the algorithm in lower case and the octets in upper case. */
export function toFingerprint(thumbprint: string): string {
  if (!THUMBPRINT.test(thumbprint)) throw new TypeError('x5t#S256 is the base64url of 32 octets');
  const hex = Buffer.from(thumbprint, 'base64url').toString('hex').toUpperCase();
  return `sha-256 ${hex.match(/../g)?.join(':')}`;
}

/** Whether two fingerprints are of the same certificate, whatever their case. */
export const sameFingerprint = (a: string, b: string): boolean => toThumbprint(a) === toThumbprint(b);

/** The payload of a token, ready to be signed. */
export function toPayload(claims: CallTokenClaims, issuer: string): Record<string, unknown> {
  return {
    iss: issuer,
    aud: TOKEN_AUDIENCE,
    jti: claims.id,
    sub: claims.endpointId,
    team: claims.team,
    iat: claims.iat,
    exp: claims.exp,
    ...(claims.fingerprint && { cnf: { 'x5t#S256': toThumbprint(claims.fingerprint) } }),
  };
}

/**
 * The claims of a payload whose signature, `iss` and `aud` are good; undefined when a claim has another shape or the
 * token is from the future. `now` and `leeway` are seconds. Whether the token has expired is not looked at.
 */
export function readPayload(
  payload: Record<string, unknown>,
  { now, leeway }: { now: number; leeway: number },
): CallTokenClaims | undefined {
  const { jti, sub, team, iat, exp, cnf } = payload;
  if (typeof jti !== 'string' || !parseTokenId(jti) || !isName(sub) || !isName(team)) return undefined;
  if (typeof iat !== 'number' || typeof exp !== 'number' || exp <= iat || iat > now + leeway) return undefined;
  const claims = { id: jti, endpointId: sub, team, iat, exp };
  if (cnf === undefined) return claims;
  // A binding that cannot be checked must not be dropped: RFC 7800 section 3.1 leaves other members to the profile.
  const thumbprint = typeof cnf === 'object' && cnf !== null && 'x5t#S256' in cnf ? cnf['x5t#S256'] : undefined;
  if (typeof thumbprint !== 'string' || !THUMBPRINT.test(thumbprint)) return undefined;
  return { ...claims, fingerprint: toFingerprint(thumbprint) };
}

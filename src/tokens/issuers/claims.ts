import { createHash } from 'node:crypto';
import { type CallTokenClaims, FOREIGN_FAMILIES, formatTokenId, readPayload } from '../claims.ts';

/** The most that lies between `iat` and `exp`, as for our own tokens. */
const MAX_TTL_SECONDS = 600;
const MAX_JTI_LENGTH = 256;

/** Whose tokens are read, and for which teams it may speak. */
export interface IssuerRules {
  iss: string;
  teams: ReadonlySet<string>;
}

/** The id of a foreign token: the same for the same `iss` and `jti`, and in the form of our own. */
export function foreignTokenId(iss: string, jti: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([iss, jti]))
    .digest();
  const family = FOREIGN_FAMILIES[hash[0]! % FOREIGN_FAMILIES.length]!;
  return formatTokenId({ family, random: hash.subarray(1, 17).toString('hex') });
}

/**
 * The claims of a payload whose signature, `iss` and `aud` are good; undefined when a claim has another shape, when the
 * issuer does not speak for the team, or when the token is from the future or lives too long. Like `readPayload`.
 */
export function readForeignPayload(
  payload: Record<string, unknown>,
  { iss, teams }: IssuerRules,
  at: { now: number; leeway: number },
): CallTokenClaims | undefined {
  const { jti, max_duration_seconds: maxDurationSeconds } = payload;
  if (typeof jti !== 'string' || jti.length < 1 || jti.length > MAX_JTI_LENGTH) return undefined;
  const claims = readPayload({ ...payload, jti: foreignTokenId(iss, jti) }, at);
  if (!claims || !teams.has(claims.team) || claims.exp - claims.iat > MAX_TTL_SECONDS) return undefined;
  if (maxDurationSeconds === undefined) return { ...claims, foreign: {} };
  return isDuration(maxDurationSeconds) ? { ...claims, foreign: { maxDurationSeconds } } : undefined;
}

const isDuration = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 1;

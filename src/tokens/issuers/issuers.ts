import { decodeJwt } from 'jose';
import type { Config } from '../../config/config.ts';
import { MAX_TOKEN_LENGTH } from '../../protocol/messages.ts';
import { jwtVerifier, type VerifyToken } from '../verifier.ts';
import { readForeignPayload } from './claims.ts';
import { IssuerKeys, type IssuerLog } from './issuer-keys.ts';
import { fetchJwks, readJwksFile } from './jwks.ts';

/** A file costs nothing to read again; an address is left in peace. */
const REFRESH_FILE_MS = 5000;
const REFRESH_URL_MS = 5 * 60 * 1000;

type IssuerConfig = Config['issuers'][number];

/** The platforms whose call tokens are taken beside our own. Owns what is known of their keys. */
export class Issuers {
  readonly #keys: IssuerKeys[] = [];
  readonly #verifiers = new Map<string, VerifyToken>();

  constructor(issuers: readonly IssuerConfig[], { leewaySeconds, log }: { leewaySeconds: number; log: IssuerLog }) {
    for (const config of issuers) {
      const rules = { iss: config.iss, teams: new Set(config.teams) };
      const keys = keysOf(config, log);
      const verify = jwtVerifier({
        issuer: config.iss,
        leewaySeconds,
        find: (kid) => keys.find(kid),
        read: (payload, at) => readForeignPayload(payload, rules, at),
      });
      this.#keys.push(keys);
      this.#verifiers.set(config.iss, verify);
    }
  }

  /** Verifies the tokens of these issuers; all others are left to `own`. The `iss` decides before any key is looked at. */
  beside(own: VerifyToken): VerifyToken {
    if (this.#verifiers.size === 0) return own;
    return (token, now) => (this.#verifiers.get(issuerOf(token)) ?? own)(token, now);
  }

  /** Reads the keys of all issuers again; never rejects. */
  async reload(): Promise<void> {
    await Promise.all(this.#keys.map((keys) => keys.reload()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#keys.map((keys) => keys.close()));
  }
}

function keysOf({ iss, jwks_url, jwks_file = '' }: IssuerConfig, log: IssuerLog): IssuerKeys {
  if (jwks_url === undefined) {
    const load = () => readJwksFile(jwks_file);
    return new IssuerKeys({ iss, from: jwks_file, log, refreshMs: REFRESH_FILE_MS, load });
  }
  const { origin, pathname } = new URL(jwks_url);
  const load = (signal: AbortSignal) => fetchJwks(jwks_url, signal);
  return new IssuerKeys({ iss, from: origin + pathname, log, refreshMs: REFRESH_URL_MS, load });
}

/** What a token claims as its issuer, unverified; empty for what is no token. */
function issuerOf(token: string): string {
  if (token.length > MAX_TOKEN_LENGTH) return '';
  try {
    return decodeJwt(token).iss ?? '';
  } catch {
    return '';
  }
}

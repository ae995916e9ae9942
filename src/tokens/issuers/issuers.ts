import { decodeJwt } from 'jose';
import { MAX_TOKEN_LENGTH } from '../../protocol/messages.ts';
import { jwtVerifier, type VerifyToken } from '../verifier.ts';
import { readForeignPayload } from './claims.ts';
import { IssuerKeys, type IssuerLog } from './issuer-keys.ts';
import { fetchJwks, readJwksFile } from './jwks.ts';

/** A file costs nothing to read again; an address is left in peace. */
const REFRESH_FILE_MS = 5000;
const REFRESH_URL_MS = 5 * 60 * 1000;

/** Where an issuer's keys are, and for which teams it may speak. */
export interface IssuerSettings {
  iss: string;
  jwks_url?: string;
  /** In place of an address. */
  jwks_file?: string;
  teams: readonly string[];
}

/** The platforms whose call tokens are taken beside our own. Owns what is known of their keys. */
export class Issuers {
  readonly #keys: IssuerKeys[] = [];
  readonly #verifiers = new Map<string, VerifyToken>();

  constructor(issuers: readonly IssuerSettings[], { leewaySeconds, log }: { leewaySeconds: number; log: IssuerLog }) {
    for (const settings of issuers) {
      const rules = { iss: settings.iss, teams: new Set(settings.teams) };
      const keys = keysOf(settings, log);
      const verify = jwtVerifier({
        issuer: settings.iss,
        leewaySeconds,
        find: (kid) => keys.find(kid),
        read: (payload, at) => readForeignPayload(payload, rules, at),
      });
      this.#keys.push(keys);
      this.#verifiers.set(settings.iss, verify);
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

function keysOf({ iss, jwks_url, jwks_file = '' }: IssuerSettings, log: IssuerLog): IssuerKeys {
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

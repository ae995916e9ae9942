import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { readTextFileSync } from '../shared/text-file.ts';

interface Credentials {
  username?: string;
  password?: string;
}

/** Where the Redis is, and what its URL does not hold of how to get in. */
export interface RedisAccess {
  url: string;
  password?: string;
  /** At the Sentinels. */
  sentinel?: Credentials;
  tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>;
}

/** A URL alone where it says everything. */
export type RedisSource = string | RedisAccess;

/** Settings of files and names, as in `config-schema.ts`. */
interface Settings {
  password_file?: string | undefined;
  sentinel: { username?: string | undefined; password_file?: string | undefined };
  tls: { ca?: string | undefined; cert?: string | undefined; key?: string | undefined };
}

/** The certificates of all authorities that a system trusts are a quarter of it. */
const MAX_BYTES = 1024 * 1024;

/**
 * Reads the files that the settings name.
 * @throws Error that names the file which cannot be used
 */
export function readRedisAccess(url: string, { password_file, sentinel, tls }: Settings): RedisAccess {
  return {
    url,
    ...readPassword(password_file),
    sentinel: { ...(sentinel.username && { username: sentinel.username }), ...readPassword(sentinel.password_file) },
    tls: {
      ...(tls.ca && { ca: pemOf(tls.ca, (ca) => ({ ca })) }),
      ...(tls.cert && tls.key && readPair(tls.cert, tls.key)),
    },
  };
}

/** Without the line end that editors put after it. */
function readPassword(path: string | undefined): { password?: string } {
  if (path === undefined) return {};
  const password = read(path).replace(/\r?\n$/, '');
  if (password === '') throw new Error(`${path}: holds no password`);
  return { password };
}

function readPair(certPath: string, keyPath: string) {
  const cert = pemOf(certPath, (cert) => ({ cert }));
  return { cert, key: pemOf(keyPath, (key) => ({ cert, key })) };
}

/** A file in PEM that OpenSSL takes. */
function pemOf(path: string, use: (pem: string) => SecureContextOptions): string {
  const pem = read(path);
  try {
    if (!pem.includes('-----BEGIN ')) throw new Error('it is not PEM');
    createSecureContext(use(pem));
    return pem;
  } catch (error) {
    throw new Error(`${path}: cannot be used for TLS: ${(error as Error).message}`);
  }
}

const read = (path: string): string => readTextFileSync(path, { maxBytes: MAX_BYTES });

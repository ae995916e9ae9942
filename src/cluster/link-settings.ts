import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import { splitHostPort } from '../config/host-port.ts';
import { isLoopback } from '../shared/loopback.ts';
import { readTextFileSync } from '../shared/text-file.ts';
import type { LinkTls } from './link/terms.ts';

type Settings = Config['cluster'];

/** Where this node listens for links, and under which address others dial it. */
export function linkAddresses({ listen, address }: Settings): {
  listen: { host: string; port: number };
  announced(port: number): string;
  /** Only this machine reaches it. */
  onMachine: boolean;
} {
  const { host, port } = splitHostPort(listen);
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    listen: { host, port },
    announced: (bound) => address ?? `${shown}:${bound}`,
    onMachine: isLoopback(splitHostPort(address ?? listen).host),
  };
}

/** Enough for any secret, and little enough for a file that is none. */
const MAX_SECRET_BYTES = 4096;
/** 128 bits in base64. */
const MIN_SECRET_LENGTH = 22;

/**
 * The secret of the cluster, where a file holds it.
 * @throws Error that names the file which cannot be used
 */
export function readClusterSecret({ secret_file: path }: Settings): string | undefined {
  if (path === undefined) return undefined;
  const secret = readTextFileSync(path, { maxBytes: MAX_SECRET_BYTES }).trim();
  if (secret.length >= MIN_SECRET_LENGTH) return secret;
  throw new Error(
    `${path}: a secret has at least ${MIN_SECRET_LENGTH} characters; \`openssl rand -base64 32\` makes one`,
  );
}

export function readLinkTls({ cert, key, ca }: Settings['tls']): LinkTls | undefined {
  if (cert === undefined || key === undefined || ca === undefined) return undefined;
  return { cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca) };
}

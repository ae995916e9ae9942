import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import { isLoopback } from '../shared/loopback.ts';
import type { LinkTls } from './link/terms.ts';

type Settings = Config['cluster'];

/** Splits host:port; the host of an IPv6 address without its brackets. */
function split(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

/** Where this node listens for links, and under which address others dial it. */
export function linkAddresses({ listen, address }: Settings): {
  listen: { host: string; port: number };
  announced(port: number): string;
  /** Only this machine reaches it. */
  onMachine: boolean;
} {
  const { host, port } = split(listen);
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    listen: { host, port },
    announced: (bound) => address ?? `${shown}:${bound}`,
    onMachine: isLoopback(split(address ?? listen).host),
  };
}

export function readLinkTls({ cert, key, ca }: Settings['tls']): LinkTls | undefined {
  if (cert === undefined || key === undefined || ca === undefined) return undefined;
  return { cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca) };
}

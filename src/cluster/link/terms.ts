import type { TLSSocket } from 'node:tls';

/** Where a node's listener takes links. */
export const LINK_PATH = '/v1/link';

/** What links are told to. */
export interface LinkLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** PEM: the certificate and key that this node shows, and who signs the others'. */
export interface LinkTls {
  cert: Buffer;
  key: Buffer;
  ca: Buffer;
}

/** Keying material that only the two ends of this TLS connection have, for the proofs. */
export const exportedOf = (socket: TLSSocket): string =>
  socket.exportKeyingMaterial(32, 'EXPORTER-callgate-link', Buffer.alloc(0)).toString('base64');

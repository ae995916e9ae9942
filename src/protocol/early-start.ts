import { badMessage } from './codec.ts';
import { EARLY_START_PREFIX, SUBPROTOCOL } from './codes.ts';

/** What a client offered in Sec-WebSocket-Protocol (RFC 6455 section 11.3.4). */
export interface OfferedProtocols {
  /** Whether it speaks this protocol at all. */
  known: boolean;
  /** The text of the `start` that it sent along, unpadded base64url still. */
  earlyStart?: string;
}

export function readProtocols(header: string | undefined): OfferedProtocols {
  const offered = (header ?? '').split(',').map((name) => name.trim());
  const early = offered.find((name) => name.startsWith(EARLY_START_PREFIX));
  const known = offered.includes(SUBPROTOCOL);
  return early === undefined ? { known } : { known, earlyStart: early.slice(EARLY_START_PREFIX.length) };
}

/** The JSON text of an early start; throws `bad_message` for anything but unpadded base64url. */
export function decodeEarlyStart(encoded: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(encoded)) throw badMessage('The early start is not unpadded base64url');
  return Buffer.from(encoded, 'base64url').toString();
}

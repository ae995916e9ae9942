import { EARLY_START_PREFIX, SUBPROTOCOL } from '../protocol/codes.ts';
import type { StartMessage } from '../protocol/messages.ts';

/** Longest second subprotocol that is sent, in characters; above it the start goes in a frame. */
const MAX_EARLY_START = 4096;

/**
 * The subprotocols of an upgrade request that carries its `start`, so that the offer is the first frame to come back;
 * undefined when the start is too long for a header.
 */
export function earlyStart(start: StartMessage): [string, string] | undefined {
  const bytes = new TextEncoder().encode(JSON.stringify(start));
  if (bytes.length > MAX_EARLY_START) return undefined;
  const base64 = btoa(String.fromCharCode(...bytes));
  // RFC 4648 section 5 without padding: a subprotocol is a token (RFC 6455 section 4.1), which has no "=" and no "/".
  const protocol = EARLY_START_PREFIX + base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return protocol.length > MAX_EARLY_START ? undefined : [SUBPROTOCOL, protocol];
}

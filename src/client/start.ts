import { EARLY_START_PREFIX, SUBPROTOCOL } from '../protocol/codes.ts';
import type { StartMessage, WantedMedia } from '../protocol/messages.ts';
import type { ConnectOptions } from './types.ts';

/** Longest second subprotocol that is sent, in characters; above it the start goes in a frame. */
const MAX_EARLY_START = 4096;

/** The first message; a certificate of the page's own is shown, because the token may be bound to it. */
export function makeStart(
  { endpointId, certificate }: ConnectOptions,
  token: string,
  media: WantedMedia,
): StartMessage {
  const value = certificate?.getFingerprints().find(({ algorithm }) => algorithm === 'sha-256')?.value;
  const bound = value && { dtls_fingerprint: `sha-256 ${value.toUpperCase()}` };
  return { type: 'start', endpoint_id: endpointId, token, media, ...bound };
}

/**
 * The subprotocols of an upgrade request that carries its `start`, so that the offer is the first frame to come back;
 * undefined when the start is too long for a header, or the platform cannot encode it.
 */
export function earlyStart(start: StartMessage): [string, string] | undefined {
  if (typeof TextEncoder === 'undefined' || typeof btoa === 'undefined') return undefined;
  const bytes = new TextEncoder().encode(JSON.stringify(start));
  if (bytes.length > MAX_EARLY_START) return undefined;
  const base64 = btoa(String.fromCharCode(...bytes));
  // RFC 4648 section 5 without padding: a subprotocol is a token (RFC 6455 section 4.1), which has no "=" and no "/".
  const protocol = EARLY_START_PREFIX + base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return protocol.length > MAX_EARLY_START ? undefined : [SUBPROTOCOL, protocol];
}

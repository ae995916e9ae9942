import { EARLY_START_PREFIX, SUBPROTOCOL } from '../protocol/codes.ts';
import type { FirstMessage, ResumeMessage, SessionInfo, StartMessage, WantedMedia } from '../protocol/messages.ts';
import { keepsCertificate } from './certificate.ts';
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
  return { type: 'start', endpoint_id: endpointId, token, media, ...bound, ...freshIf(keepsCertificate(certificate)) };
}

/** The first message of a client that lost its socket. */
export const makeResume = ({ id, ticket }: SessionInfo, fresh: boolean): ResumeMessage => ({
  type: 'resume',
  session_id: id,
  ticket,
  ...freshIf(fresh),
});

/** Says that an offer for a new connection can be answered. */
const freshIf = (fresh: boolean) => fresh && { fresh };

/**
 * The subprotocols of an upgrade request that carries its first message, so that the answer to it is the first frame to come
 * back; undefined when the message is too long for a header, or the platform cannot encode it.
 */
export function earlyStart(start: FirstMessage): [string, string] | undefined {
  if (typeof TextEncoder === 'undefined' || typeof btoa === 'undefined') return undefined;
  const bytes = new TextEncoder().encode(JSON.stringify(start));
  if (bytes.length > MAX_EARLY_START) return undefined;
  const base64 = btoa(String.fromCharCode(...bytes));
  // RFC 4648 section 5 without padding: a subprotocol is a token (RFC 6455 section 4.1), which has no "=" and no "/".
  const protocol = EARLY_START_PREFIX + base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return protocol.length > MAX_EARLY_START ? undefined : [SUBPROTOCOL, protocol];
}

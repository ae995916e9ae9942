import { type CallErrorCode, CLOSE_CODES, type EndReason } from '../protocol/codes.ts';
import type { Kind } from './sdp.ts';

/** What can go wrong on the client's own side, with the sentence that people read. */
const LOCAL_ERRORS = {
  aborted: 'The call was given up before it was live',
  address_invalid: 'The address of the server cannot be used',
  media_denied: 'The use of the camera or microphone was refused',
  media_lost: 'The camera or microphone was lost',
  media_unavailable: 'The camera or microphone cannot be opened',
  network_error: 'The connection to the server was lost',
  not_supported: 'This browser has no WebRTC',
  options_invalid: 'The options of the connection are refused by this browser',
  token_unavailable: 'No call token could be had',
} as const;

/** Why the server ended the call, as a person reads it. */
const END_REASONS: Record<EndReason, string> = {
  completed: 'Hung up. The token is spent, and so is the call.',
  expired: 'The session reached its time limit.',
  revoked: 'The backend revoked the token.',
  answer_timeout: 'The offer was not answered in time.',
  connect_timeout:
    'Media did not connect in time. Check that firewalls let the media ports of the server through (UDP and TCP), and that its announced address can be reached from here.',
  negotiation_failed: 'The session description could not be used.',
  client_lost: 'The server lost sight of this browser.',
  ticket_reused: 'An old ticket of this call was used again: somebody else may have it.',
  worker_lost: 'The media worker died.',
  node_lost: 'The server node was lost.',
  node_drained: 'The server node was drained.',
  flow_closed: 'The flow behind the endpoint was closed.',
  server_shutdown: 'The server was shut down.',
  application_unavailable: 'Nothing could be reached that answers the call.',
  application_lost: 'What answered the call was lost.',
};

const TEXTS: Partial<Record<string, string>> = { ...END_REASONS, ...LOCAL_ERRORS };

export type LocalErrorCode = keyof typeof LOCAL_ERRORS;

export interface CallErrorDetails {
  message?: string;
  retryable?: boolean;
  /** The close code that the socket really had, where it differs from the code's own. */
  closeCode?: number;
  kind?: Kind;
  cause?: unknown;
}

/** The one error of the SDK: the server's codes and end reasons, and a few of its own. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly code: CallErrorCode | EndReason | LocalErrorCode;
  /** True when the very same token may be presented again. */
  readonly retryable: boolean;
  /** Close code of the WebSocket (44xx, 4503); undefined when no socket was closed for it. */
  readonly closeCode: number | undefined;
  /** Of a device: `audio` for a microphone, `video` for a camera. */
  readonly kind: Kind | undefined;

  constructor(code: CallErrorCode | EndReason | LocalErrorCode, details: CallErrorDetails = {}) {
    super(details.message ?? TEXTS[code] ?? code, { cause: details.cause });
    this.code = code;
    this.retryable = details.retryable ?? false;
    this.closeCode = details.closeCode ?? (isServerCode(code) ? CLOSE_CODES[code] : undefined);
    this.kind = details.kind;
  }
}

export const isServerCode = (code: string): code is CallErrorCode => Object.hasOwn(CLOSE_CODES, code);

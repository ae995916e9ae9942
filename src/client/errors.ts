import { type CallErrorCode, CLOSE_CODES } from '../protocol/codes.ts';

/** What can go wrong on the client's own side, with the sentence that people read. */
const LOCAL_ERRORS = {
  aborted: 'The call was given up before it was live',
  media_denied: 'The use of the camera or microphone was refused',
  media_unavailable: 'The camera or microphone cannot be opened',
  network_error: 'The connection to the server was lost',
  not_supported: 'This browser has no WebRTC',
  token_unavailable: 'No call token could be had',
} as const;

export type LocalErrorCode = keyof typeof LOCAL_ERRORS;

export interface CallErrorDetails {
  message?: string;
  retryable?: boolean;
  /** The close code that the socket really had, where it differs from the code's own. */
  closeCode?: number;
  cause?: unknown;
}

/** The one error of the SDK: the server's codes and a few of its own. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly code: CallErrorCode | LocalErrorCode;
  /** True when the very same token may be presented again. */
  readonly retryable: boolean;
  /** Close code of the WebSocket (44xx, 4503); undefined when no socket was closed for it. */
  readonly closeCode: number | undefined;

  constructor(code: CallErrorCode | LocalErrorCode, details: CallErrorDetails = {}) {
    super(details.message ?? (isServerCode(code) ? code : LOCAL_ERRORS[code]), { cause: details.cause });
    this.code = code;
    this.retryable = details.retryable ?? false;
    this.closeCode = details.closeCode ?? (isServerCode(code) ? CLOSE_CODES[code] : undefined);
  }
}

export const isServerCode = (code: string): code is CallErrorCode => Object.hasOwn(CLOSE_CODES, code);

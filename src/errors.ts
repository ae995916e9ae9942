import { type CallErrorCode, CLOSE_CODES } from './protocol/codes.ts';

/** HTTP status and title of each problem that the mint API can answer (RFC 9457). */
export const HTTP_PROBLEMS = {
  server_to_server_only: [403, 'Call tokens are minted by a backend, never in a page'],
  api_key_missing: [401, 'Send an API key: Authorization: Bearer cgk_<key id>_<secret>'],
  api_key_invalid: [401, 'The API key is not known'],
  webrtc_disabled: [403, 'WebRTC is not enabled for this team'],
  scope_missing: [403, 'The API key lacks the scope for this call'],
  rate_limited: [429, 'Too many requests; wait as long as Retry-After says'],
  unavailable: [503, 'The token store cannot be reached; try again shortly'],
  body_too_large: [413, 'The body is larger than 64 KiB'],
  media_type_unsupported: [415, 'Send the body as application/json'],
  request_malformed: [400, 'The request is not of the documented form'],
  endpoint_missing: [400, 'endpoint_id is missing'],
  endpoint_unknown: [400, 'No such endpoint'],
  endpoint_not_webrtc: [400, 'The endpoint does not take WebRTC calls'],
  token_not_found: [404, 'No such call token'],
  not_found: [404, 'No such resource'],
  method_not_allowed: [405, 'The resource does not take this method'],
  expectation_failed: [417, 'The server knows no expectation but 100-continue'],
  upgrade_required: [426, 'Open a WebSocket here'],
  idempotency_key_reused: [422, 'The Idempotency-Key was used with another body'],
  endpoint_disabled: [409, 'The endpoint is disabled'],
  flow_not_live: [409, 'The flow of the endpoint is not live'],
  token_not_issued: [409, 'The call token is no longer issued'],
  internal_error: [500, 'Something went wrong on the server'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type HttpErrorCode = keyof typeof HTTP_PROBLEMS;

/** What a client reads with each fatal WebSocket error. */
const CALL_ERRORS = {
  bad_message: 'The message is not of the documented form',
  token_invalid: 'The call token is not valid',
  token_expired: 'The call token has expired; ask for a new one',
  token_revoked: 'The call token was revoked; ask for a new one',
  token_unknown: 'The call token is not known; ask for a new one',
  token_used: 'The call token was already used; every call needs a new one',
  endpoint_mismatch: 'The call token is for another endpoint',
  endpoint_unavailable: 'The endpoint takes no calls at the moment',
  origin_denied: 'This page may not call the endpoint',
  fingerprint_mismatch: 'The call token is bound to another DTLS certificate',
  start_timeout: 'No start message arrived in time',
  session_gone: 'The session is over or the ticket is not good; start a new call',
  negotiation_failed: 'The session description cannot be used',
  rate_limited: 'Too many connections, messages or failed presentations; wait a little',
  at_capacity: 'All places are taken; try again shortly',
  unavailable: 'The service cannot start calls at the moment; try again shortly',
} as const satisfies Record<CallErrorCode, string>;

export type ErrorCode = HttpErrorCode | CallErrorCode;

export interface ErrorOptions {
  /** Says more than the code's own sentence; never holds a secret. */
  message?: string;
  /** True when this very token may be presented again (WebSocket), or the request sent again (HTTP). */
  retryable?: boolean;
  /** Seconds until another try makes sense. */
  retryAfter?: number;
  cause?: unknown;
}

/** The one error that crosses the edges; everything else is a defect and is answered as such. */
export class CallgateError extends Error {
  override readonly name = 'CallgateError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, { message, retryable = false, retryAfter, cause }: ErrorOptions = {}) {
    super(message ?? describe(code), { cause });
    this.code = code;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
  }

  /** HTTP status; 500 for a code that only the WebSocket knows. */
  get status(): number {
    return isHttpCode(this.code) ? HTTP_PROBLEMS[this.code][0] : 500;
  }

  /** WebSocket close code; 1011 (RFC 6455 section 7.4.1) for a code that only HTTP knows. */
  get closeCode(): number {
    return isCallCode(this.code) ? CLOSE_CODES[this.code] : 1011;
  }
}

/** A refusal that does not spend the token: it may be presented again. */
export const unspent = (code: CallErrorCode): CallgateError => new CallgateError(code, { retryable: true });

export const hasCode = (error: unknown, code: ErrorCode): boolean =>
  error instanceof CallgateError && error.code === code;

export const isHttpCode = (code: ErrorCode): code is HttpErrorCode => code in HTTP_PROBLEMS;
export const isCallCode = (code: ErrorCode): code is CallErrorCode => code in CLOSE_CODES;

const describe = (code: ErrorCode): string => (isCallCode(code) ? CALL_ERRORS[code] : HTTP_PROBLEMS[code][1]);

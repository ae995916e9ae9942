import type { HttpErrorCode } from '../errors.ts';

/**
 * Why a call failed: a code of the API; `unreachable` when no answer came in time; `unexpected_answer` when what answered
 * was not callgate (a proxy's own page, say).
 */
export type CallgateApiErrorCode = HttpErrorCode | 'unreachable' | 'unexpected_answer';

/** The answer to a call that failed. It never holds the API key or a token. */
export class CallgateApiError extends Error {
  override readonly name = 'CallgateApiError';
  readonly code: CallgateApiErrorCode;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** The `request_id` of the answer; every log line of the server about the request has it. */
  readonly requestId: string | undefined;
  /** Seconds until another try makes sense, when the server said so. */
  readonly retryAfter: number | undefined;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;

  constructor(
    code: CallgateApiErrorCode,
    { message, status = 0, requestId, retryAfter, cause }: CallgateApiErrorOptions,
  ) {
    super(`${code}: ${message}`, { cause });
    this.code = code;
    this.status = status;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
    this.retryable = status === 0 || status === 429 || status >= 500;
  }
}

interface CallgateApiErrorOptions {
  message: string;
  status?: number;
  requestId?: string | undefined;
  retryAfter?: number | undefined;
  cause?: unknown;
}

/** What an answer that is no success says, as an error. */
export async function toApiError(response: Response): Promise<CallgateApiError> {
  const { status, headers } = response;
  const seconds = headers.get('retry-after') ?? '';
  const retryAfter = /^\d{1,6}$/.test(seconds) ? Number(seconds) : undefined;
  const problem = isProblem(headers) ? await response.json().then(readProblem, () => undefined) : undefined;
  if (problem) return new CallgateApiError(problem.code, { ...problem, status, retryAfter });
  return new CallgateApiError('unexpected_answer', { message: `the answer was ${status}`, status, retryAfter });
}

const isProblem = (headers: Headers): boolean =>
  /^application\/problem\+json\b/i.test(headers.get('content-type') ?? '');

/** RFC 9457: `detail` is about this occurrence, `title` about all of its kind. */
function readProblem(body: unknown): { code: HttpErrorCode; message: string; requestId: string } | undefined {
  const { code, title, detail, request_id } = (body ?? {}) as Record<string, unknown>;
  if (typeof code !== 'string' || typeof request_id !== 'string') return undefined;
  return { code: code as HttpErrorCode, message: String(detail ?? title), requestId: request_id };
}

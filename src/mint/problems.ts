import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { CallgateError, HTTP_PROBLEMS, type HttpErrorCode, isCallCode, isHttpCode } from '../errors.ts';
import { newRequestId } from '../telemetry/request-id.ts';
import { type Problem, problemOf } from './schemas.ts';

const MEDIA_TYPE = 'application/problem+json';

/** Seconds after which a store that could not be reached is worth another try. */
const RETRY_UNAVAILABLE = 1;

/** Codes of Fastify's own errors that have one of ours; any other refusal of a request is `request_malformed`. */
const FASTIFY_CODES: Readonly<Record<string, HttpErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media_type_unsupported',
};

/** What an error means to the client. Defects are `internal_error` and say nothing more. */
export function toCallgateError(error: unknown): CallgateError {
  if (error instanceof CallgateError && isHttpCode(error.code)) return error;
  const { code = '', statusCode = 500, validation } = error as Partial<FastifyError>;
  if (validation) return new CallgateError('request_malformed', { message: describeMismatch(validation[0]) });
  if (statusCode === 404) return new CallgateError('not_found');
  if (statusCode >= 400 && statusCode < 500) return new CallgateError(FASTIFY_CODES[code] ?? 'request_malformed');
  return new CallgateError('internal_error', { cause: error });
}

/** Answers with the problem document of an error. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toCallgateError(error);
  if (known.status >= 500) request.log.error({ err: known.cause ?? known, code: known.code }, 'request failed');
  const retryAfter = known.retryAfter ?? (known.code === 'unavailable' ? RETRY_UNAVAILABLE : undefined);
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
  if (known.status === 401) reply.header('www-authenticate', challenge(known.code));
  return reply
    .code(known.status)
    .header('x-request-id', request.id)
    .type(MEDIA_TYPE)
    .send(toBytes(toProblem(known, request.id)));
}

/**
 * Answers what Node's HTTP parser refused (no request came of it) and closes the connection: 431 for headers that are
 * too large, 408 for a request that took too long, 400 for anything else.
 */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const requestId = newRequestId();
  const problem = toProblem(new CallgateError('request_malformed', { message: STATUS_CODES[status] ?? '' }), requestId);
  const body = JSON.stringify({ ...problem, status });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: ${MEDIA_TYPE}\r\nx-request-id: ${requestId}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    // A peer that reads nothing must not keep the socket.
    () => socket.destroySoon(),
  );
}

/** JSON as bytes: to a string Fastify would add a `charset`, which these media types do not have. */
export const toBytes = (value: object): Buffer => Buffer.from(JSON.stringify(value));

function toProblem(error: CallgateError, requestId: string): Problem {
  const code = isHttpCode(error.code) ? error.code : 'internal_error';
  const title = HTTP_PROBLEMS[code][1];
  // A code that the WebSocket knows too has its own sentence there, which is not a detail of this one.
  const hasDetail = error.message !== title && !isCallCode(code);
  return { ...problemOf(code, requestId), ...(hasDetail && { detail: error.message }) };
}

/** RFC 6750 section 3: no error is named when no credentials were sent. */
const challenge = (code: string): string =>
  code === 'api_key_missing' ? 'Bearer realm="callgate"' : 'Bearer realm="callgate", error="invalid_token"';

/** One sentence about the first mismatch; of what the client sent it holds short plain names only. */
function describeMismatch(mismatch: { keyword: string; instancePath: string; message?: string } | undefined): string {
  const name = mismatch?.instancePath.slice(1).replaceAll('/', '.') ?? '';
  const subject = /^[\w.-]{1,64}$/.test(name) ? name : name === '' ? 'the body' : 'a field';
  return `${subject}: ${mismatch?.keyword === 'boolean' ? 'unknown field' : mismatch?.message}`;
}

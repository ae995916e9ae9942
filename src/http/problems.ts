import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { CallgateError, HTTP_PROBLEMS, type HttpErrorCode, isCallCode, isHttpCode } from '../errors.ts';
import { newRequestId } from '../telemetry/request-id.ts';
import { type Problem, problemOf } from './problem.ts';

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
  return reply
    .code(known.status)
    .headers(headersOf(known))
    .header('x-request-id', request.id)
    .type(MEDIA_TYPE)
    .send(toBytes(toProblem(known, request.id)));
}

/** Answers a request that reaches no route, and closes its connection. */
export function refuseRequest(response: ServerResponse, error: CallgateError): void {
  const requestId = newRequestId();
  response.writeHead(error.status, rawHeaders(error, requestId)).end(JSON.stringify(toProblem(error, requestId)));
}

/**
 * Answers what Node's HTTP parser refused (no request came of it) and closes the connection: 431 for headers that are
 * too large, 408 for a request that took too long, 400 for anything else.
 */
export function refuseConnection({ code }: NodeJS.ErrnoException, socket: Duplex): void {
  if (code === 'ECONNRESET') return void socket.destroy();
  const status = code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  endWithProblem(socket, new CallgateError('request_malformed', { message: STATUS_CODES[status] ?? '' }), status);
}

/** The last that is written to a connection which Node's HTTP server has let go of. */
export function endWithProblem(socket: Duplex, error: CallgateError, status = error.status): void {
  if (!socket.writable) return void socket.destroy();
  const requestId = newRequestId();
  const body = JSON.stringify({ ...toProblem(error, requestId), status });
  const headers = { ...rawHeaders(error, requestId), 'content-length': Buffer.byteLength(body) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  // A peer that reads nothing, or never closes its end, must not keep the socket.
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
}

const rawHeaders = (error: CallgateError, requestId: string): Record<string, string | number> => ({
  connection: 'close',
  ...headersOf(error),
  'content-type': MEDIA_TYPE,
  'x-request-id': requestId,
});

/** What the status asks for besides the document. */
function headersOf({ code, status, retryAfter }: CallgateError): Record<string, string | number> {
  const seconds = retryAfter ?? (code === 'unavailable' ? RETRY_UNAVAILABLE : undefined);
  return {
    ...(seconds !== undefined && { 'retry-after': seconds }),
    ...(status === 401 && { 'www-authenticate': challenge(code) }),
    // RFC 9110 sections 7.8 and 15.5.22, RFC 6455 section 4.4.
    ...(status === 426 && { upgrade: 'websocket', connection: 'upgrade, close', 'sec-websocket-version': 13 }),
  };
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

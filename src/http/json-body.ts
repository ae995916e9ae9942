import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CallgateError } from '../errors.ts';
import { isUtf16, withoutMark } from '../shared/text-file.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether a body that is empty is as good as none, whatever its Content-Type. */
    emptyBody?: boolean;
  }
}

/** Names that mean something on a JavaScript object; no documented field has one. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Lets the routes of this instance take JSON bodies. One parser sees every media type, so that a body which is too
 * large is told before its type, and its type before its syntax.
 */
export function takeJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  // Fastify refuses a type that is none before any parser is asked.
  app.addHook('onRequest', async ({ headers, routeOptions }: FastifyRequest) => {
    const isEmpty = (headers['content-length'] ?? '0') === '0' && headers['transfer-encoding'] === undefined;
    if (isEmpty && routeOptions.config.emptyBody) delete headers['content-type'];
  });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
    if (body.length === 0 && request.routeOptions.config.emptyBody) return undefined;
    const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers;
    if (!/^application\/json *(;|$)/i.test(type) || encoding !== 'identity') {
      throw new CallgateError('media_type_unsupported');
    }
    return parseJson(body);
  });
}

/** Strict JSON: UTF-8 with or without a byte order mark, every key once (RFC 8259 section 4 leaves duplicates open), no reserved names. */
export function parseJson(body: Buffer): unknown {
  if (isUtf16(body)) throw malformed('the body is UTF-16; send it as UTF-8');
  if (!isUtf8(body)) throw malformed('the body is not UTF-8');
  const text = withoutMark(body.toString());
  let keys = 0;
  let value: unknown;
  try {
    value = JSON.parse(text, function (this: unknown, key: string, member: unknown) {
      if (!Array.isArray(this)) keys++;
      if (RESERVED.has(key)) throw new SyntaxError('a reserved name');
      return member;
    });
  } catch {
    throw malformed('the body is not JSON');
  }
  // The reviver saw each key that was kept, and the root once more; the text shows each that was written.
  if (countKeys(text) !== keys - 1) throw malformed('a field is there twice');
  return value;
}

/** Strings that are followed by a colon, in text that is known to be JSON. */
function countKeys(text: string): number {
  let keys = 0;
  for (const [, colon] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"[ \t\r\n]*(:?)/g)) if (colon) keys++;
  return keys;
}

const malformed = (message: string): CallgateError => new CallgateError('request_malformed', { message });

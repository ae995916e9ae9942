import type { IncomingMessage } from 'node:http';
import type { Config } from '../config/config.ts';
import { CallgateError } from '../errors.ts';
import { CONNECT_PATH } from '../protocol/codes.ts';

/** RFC 3986 section 3.2.2, without user; what does not fit would make an address that nobody can use. */
const HOST = /^(?:[\w.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/**
 * Where clients open their WebSocket: below `public_url`, or else at the host that the minting request was sent to, with
 * `wss:` when a trusted proxy says that its client came over TLS.
 */
export function createWsUrl({ public_url, trusted_proxies }: Config['http']): (request: IncomingMessage) => string {
  if (public_url !== undefined) {
    const url = `${public_url.replace(/^http/i, 'ws').replace(/\/+$/, '')}${CONNECT_PATH}`;
    return () => url;
  }
  return ({ headers, socket }) => {
    // HTTP/1.0 needs no Host.
    const authority =
      headers.host ||
      `${socket.localFamily === 'IPv6' ? `[${socket.localAddress}]` : socket.localAddress}:${socket.localPort}`;
    if (!HOST.test(authority)) throw new CallgateError('request_malformed', { message: 'the Host is not one' });
    const overTls = trusted_proxies > 0 && cameOverTls(headers['x-forwarded-proto']);
    return `${overTls ? 'wss' : 'ws'}://${authority}${CONNECT_PATH}`;
  };
}

/**
 * Proxies in a row make a list, whose first member is what the client itself spoke. It may have written that one itself,
 * and then misleads nobody but itself: the answer is its own.
 */
const cameOverTls = (forwarded: string | string[] = ''): boolean =>
  /^"?(?:https|wss)"?$/i.test([forwarded].flat().join(',').split(',', 1)[0]!.trim());

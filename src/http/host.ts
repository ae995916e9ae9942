import type { IncomingMessage } from 'node:http';
import { isLoopback } from '../shared/loopback.ts';

/** RFC 9112 section 3.2.2: such a target names the host, whatever the Host field says. */
const ABSOLUTE = /^https?:\/\/([^/?#]+)([^#]*)/i;

/**
 * Brings the target of a request into the usual form, a path, with its host in `Host`. Returns what is wrong with the
 * Host otherwise (RFC 9112 section 3.2): undefined when nothing is.
 */
export function settleTarget(request: IncomingMessage): string | undefined {
  const { headers, rawHeaders, httpVersionMinor } = request;
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.toLowerCase() === 'host') hosts++;
  if (hosts > 1) return 'Host is there more than once';
  if (hosts === 0 && httpVersionMinor > 0) return 'Host is missing';
  const [, host, path] = ABSOLUTE.exec(request.url ?? '') ?? [];
  if (host === undefined || path === undefined) return undefined;
  headers.host = host;
  request.url = path.startsWith('/') ? path : `/${path}`;
  return undefined;
}

/**
 * The origin that a request on loopback names in its `Host`, if that is a loopback name with the port that it reached:
 * DNS rebinding reaches loopback under another name.
 */
export function loopbackOrigin({ headers: { host = '' }, socket }: IncomingMessage): string | undefined {
  const url = URL.parse(`http://${host}`);
  if (url === null || url.host !== host.toLowerCase()) return undefined;
  return isLoopback(url.hostname) && Number(url.port || 80) === socket.localPort ? url.origin : undefined;
}

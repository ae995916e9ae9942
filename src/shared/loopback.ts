import { isIPv4 } from 'node:net';

/** 127.0.0.0/8, ::1 or localhost (RFC 6761 section 6.3); IPv6 with or without the brackets of a URL. */
export const isLoopback = (host: string): boolean =>
  ['localhost', '::1', '[::1]'].includes(host) || (isIPv4(host) && host.startsWith('127.'));

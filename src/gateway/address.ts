import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

/** Whose limits a socket counts against. */
export interface PeerAddress {
  /** As it is logged. */
  address: string;
  /** An IPv4 address or an IPv6 /64: one subscriber usually holds a whole /64 (RFC 6177). */
  key: string;
  loopback: boolean;
}

/** Address of the client behind `hops` trusted proxies, each of which appended to X-Forwarded-For. */
export function peerAddress(request: IncomingMessage, hops: number): PeerAddress {
  const forwarded = [request.headers['x-forwarded-for'] ?? []].flat().join(',');
  const chain = [request.socket.remoteAddress ?? '', ...forwarded.split(',').reverse()].map((hop) => hop.trim());
  const nearest = chain[0] ?? '';
  const claimed = chain[hops] ?? chain.at(-1) ?? '';
  return describe(hops > 0 && ipaddr.isValid(claimed) ? claimed : nearest);
}

const describe = (text: string): PeerAddress => {
  if (!ipaddr.isValid(text)) return { address: 'unknown', key: 'unknown', loopback: false };
  const parsed = ipaddr.process(text);
  const address = parsed.toString();
  const loopback = parsed.range() === 'loopback';
  if (parsed.kind() === 'ipv4') return { address, key: address, loopback };
  const network = parsed.toByteArray().slice(0, 8);
  return { address, key: `${Buffer.from(network).toString('hex')}/64`, loopback };
};

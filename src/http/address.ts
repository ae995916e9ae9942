import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Whose limits a request or a connection counts against. */
export interface PeerAddress {
  /** As it is logged: an IP address without port and zone, or `unknown`. */
  address: string;
  /**
   * An IPv4 address or an IPv6 /64: one subscriber usually holds a whole /64 (RFC 6177). Undefined where nobody knows who it
   * is: one key for all of those would let one of them use up the limits of the others.
   */
  key: string | undefined;
  loopback: boolean;
}

const UNKNOWN: PeerAddress = { address: 'unknown', key: undefined, loopback: false };

/**
 * A node of RFC 7239 section 6 with an address: its port, which may be obfuscated, is passed over, and so are quotes. Bare
 * IPv6 is no such node, but what most proxies write.
 */
const NODE = /^(?:\[([0-9a-f:.]+)(?:%[^\]]*)?\]|([\d.]+))(?::(?:\d{1,5}|_[\w.-]+))?$/i;
/** `"[` + the longest IPv6 address, its zone + `]:65535"`. */
const MAX_NODE_LENGTH = 80;

/**
 * Address of the client behind `hops` trusted proxies, each of which appended to X-Forwarded-For; the farthest one told
 * when there are fewer. What a trusted proxy wrote and is no address makes the client unknown.
 */
export function peerAddress({ headers, socket }: IncomingMessage, hops: number): PeerAddress {
  if (hops === 0) return socketAddress(socket);
  const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',');
  if (forwarded.trim() === '') return socketAddress(socket);
  const nodes = forwarded.split(',');
  return addressOf(nodes.at(-hops) ?? nodes[0]);
}

const ofSockets = new WeakMap<Socket, PeerAddress>();

/** The address at the other end of a connection. */
export function socketAddress(socket: Socket): PeerAddress {
  const known = ofSockets.get(socket);
  if (known !== undefined) return known;
  const address = addressOf(socket.remoteAddress);
  ofSockets.set(socket, address);
  return address;
}

/** The address that a node names, of a socket or of a header. */
function addressOf(node = ''): PeerAddress {
  const text = withoutPort(node.trim());
  if (isIP(text) === 0) return UNKNOWN;
  const parsed = ipaddr.process(text);
  const address = parsed.toString();
  const range = parsed.range();
  const loopback = range === 'loopback';
  // Link-local neighbours are hosts of their own in one network.
  if (parsed.kind() === 'ipv4' || range === 'linkLocal') return { address, key: address, loopback };
  const network = parsed.toByteArray().slice(0, 8);
  return { address, key: `${Buffer.from(network).toString('hex')}/64`, loopback };
}

function withoutPort(node: string): string {
  if (node.length > MAX_NODE_LENGTH) return '';
  const bare = /^"(.*)"$/.exec(node)?.[1] ?? node;
  const [, ipv6, ipv4] = NODE.exec(bare) ?? [];
  return ipv6 ?? ipv4 ?? bare.replace(/%.*$/, '');
}

import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { peerAddress } from '../../src/gateway/address.ts';

const request = (remoteAddress: string, forwarded?: string) =>
  ({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }) as unknown as IncomingMessage;

describe('the address of a peer', () => {
  it('is the socket’s own when no proxy is trusted, whatever a header claims', () => {
    expect(peerAddress(request('203.0.113.9', '198.51.100.1'), 0).address).toBe('203.0.113.9');
  });

  it('is what the trusted proxies appended, and no further', () => {
    const chain = '192.0.2.1, 198.51.100.1, 198.51.100.2';
    expect(peerAddress(request('10.0.0.1', chain), 1).address).toBe('198.51.100.2');
    expect(peerAddress(request('10.0.0.1', chain), 2).address).toBe('198.51.100.1');
  });

  it('is the farthest known one when fewer proxies appended than are trusted', () => {
    expect(peerAddress(request('10.0.0.1', '198.51.100.2'), 5).address).toBe('198.51.100.2');
    expect(peerAddress(request('10.0.0.1'), 2).address).toBe('10.0.0.1');
  });

  it('falls back to the socket’s own when a header holds junk', () => {
    expect(peerAddress(request('10.0.0.1', 'a, <script>'), 1).address).toBe('10.0.0.1');
  });

  it('counts IPv6 neighbours in one /64 together, and others apart', () => {
    const key = (address: string) => peerAddress(request(address), 0).key;
    expect(key('2001:db8:0:1::1')).toBe(key('2001:db8:0:1:ffff::2'));
    expect(key('2001:db8:0:1::1')).not.toBe(key('2001:db8:0:2::1'));
  });

  it('takes an IPv4 address in IPv6 clothes for what it is', () => {
    expect(peerAddress(request('::ffff:127.0.0.1'), 0)).toEqual({
      address: '127.0.0.1',
      key: '127.0.0.1',
      loopback: true,
    });
    expect(peerAddress(request('::1'), 0).loopback).toBe(true);
  });
});

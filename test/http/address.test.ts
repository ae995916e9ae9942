import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { peerAddress } from '../../src/http/address.ts';

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
    expect(peerAddress(request('10.0.0.1', ' '), 2).address).toBe('10.0.0.1');
  });

  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7:40001', '203.0.113.7'],
    ['"203.0.113.7:40001"', '203.0.113.7'],
    ['203.0.113.7:_port', '203.0.113.7'],
    ['2001:db8::7', '2001:db8::7'],
    ['[2001:db8::7]', '2001:db8::7'],
    ['[2001:db8::7]:4711', '2001:db8::7'],
    ['"[2001:DB8:0::7]:4711"', '2001:db8::7'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]:4711', 'fe80::1'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['[::ffff:203.0.113.7]:4711', '203.0.113.7'],
    ['  203.0.113.7\t', '203.0.113.7'],
  ])('is read from %j, as one proxy or another writes it', (node, address) => {
    expect(peerAddress(request('10.0.0.1', `198.51.100.1,${node}`), 1).address).toBe(address);
  });

  it.each([
    'unknown',
    '_hidden',
    '',
    '<script>',
    'localhost',
    '1',
    '127.1',
    '0x7f.1',
    '0177.0.0.1',
    '203.0.113.7:99999999',
    '[2001:db8::7',
    '2001:db8::7]:1',
    '203.0.113.7 x',
    'for=203.0.113.7',
    `${'9'.repeat(100)}.0.0.1`,
  ])('is unknown and nobody’s in particular when a trusted proxy wrote %j', (node) => {
    const unknown = { address: 'unknown', key: undefined, loopback: false };
    expect(peerAddress(request('10.0.0.1', `198.51.100.1,${node}`), 1)).toEqual(unknown);
  });

  it('counts IPv6 neighbours in one /64 together, others apart, and link-local ones each', () => {
    const key = (address: string) => peerAddress(request(address), 0).key;
    expect(key('2001:db8:0:1::1')).toBe(key('2001:db8:0:1:ffff::2'));
    expect(key('2001:db8:0:1::1')).not.toBe(key('2001:db8:0:2::1'));
    expect(key('fe80::1%eth0')).not.toBe(key('fe80::2%eth0'));
  });

  it('counts an address once, whichever port and form it has', () => {
    const keys = ['203.0.113.7', '203.0.113.7:1', '"203.0.113.7:2"', '::ffff:203.0.113.7'].map(
      (node) => peerAddress(request('10.0.0.1', node), 1).key,
    );
    expect(new Set(keys)).toEqual(new Set(['203.0.113.7']));
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

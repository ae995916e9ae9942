import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { isAnnounceable, isListenable } from '../../src/config/media-addresses.ts';
import { parsePortRange, requirePorts } from '../../src/config/port-range.ts';
import {
  type Announced,
  announce,
  type ListenSettings,
  lanAddresses,
  listenAddresses,
  listenInfos,
  toldAddresses,
} from '../../src/media/addresses.ts';
import { bindable } from '../../src/media/bindable.ts';

const ipv4 = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  netmask: '255.255.255.0',
  family: 'IPv4',
  mac: '02:00:00:00:00:01',
  internal,
  cidr: `${address}/24`,
});

const ipv6 = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  netmask: 'ffff:ffff:ffff:ffff::',
  family: 'IPv6',
  mac: '02:00:00:00:00:01',
  internal,
  cidr: `${address}/64`,
  scopeid: 0,
});

const loopback = { lo: [ipv4('127.0.0.1', true), ipv6('::1', true)] };
const laptop = {
  docker0: [ipv4('172.17.0.1')],
  veth99: [ipv4('169.254.3.4'), ipv6('fe80::3')],
  ...loopback,
  eth0: [ipv4('10.0.0.5'), ipv6('2001:db8::5'), ipv6('2001:db8::6'), ipv6('fe80::5')],
  wlan0: [ipv4('192.168.1.20'), ipv6('fd00::20')],
};

const addresses = (settings: ListenSettings = {}, interfaces: Parameters<typeof listenAddresses>[1] = laptop) =>
  listenAddresses(settings, interfaces);
const announced = (v4: string[], v6: string[] = [], name = false): Announced => ({ 4: v4, 6: v6, name });

describe('the addresses', () => {
  it('are loopback and the LAN of every interface and family, without link-local ones, bridges last', () => {
    expect(addresses()).toEqual([
      ...['127.0.0.1', '::1', '10.0.0.5', '2001:db8::5', '192.168.1.20', 'fd00::20', '2001:db8::6', '172.17.0.1'],
    ]);
  });

  it('of a machine without a network are loopback alone', () => {
    expect(addresses({}, { ...loopback, eth0: undefined })).toEqual(['127.0.0.1', '::1']);
    expect(addresses({}, { lo: [ipv4('127.0.0.1', true)] })).toEqual(['127.0.0.1']);
  });

  it('are those of a bridge where there is nothing else, as in a container', () => {
    expect(addresses({}, { ...loopback, veth0: [ipv4('10.1.1.2')] })).toContain('10.1.1.2');
  });

  it('are eight of the LAN at most, and tell how many more there are', () => {
    const many = Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [`br-${i}`, [ipv4(`172.18.${i}.1`), ipv6(`fd00:${i + 1}::1`)]]),
    );
    const found = addresses({}, { ...many, ...loopback, eth0: [ipv4('10.0.0.5'), ipv6('2001:db8::5')] });
    expect(found).toHaveLength(10);
    expect(found.slice(2, 4)).toEqual(['10.0.0.5', '2001:db8::5']);
    expect(lanAddresses(many)).toHaveLength(40);
  });

  it('are those that the machine really has', async () => {
    expect(await bindable(['127.0.0.1', '203.0.113.9', '2001:db8::9'])).toEqual(['127.0.0.1']);
  });

  it('are all of the families that are announced, and of those that an announced name may have later', () => {
    expect(addresses({ announced: announced(['203.0.113.7']) })).toEqual(['0.0.0.0']);
    expect(addresses({ announced: announced([], ['2001:db8::7']) })).toEqual(['::']);
    expect(addresses({ announced: announced(['203.0.113.7'], [], true) })).toEqual(['0.0.0.0', '::']);
    const alone = { lo: [ipv4('127.0.0.1', true)] };
    expect(addresses({ announced: announced(['203.0.113.7'], [], true) }, alone)).toEqual(['0.0.0.0']);
  });

  it('are those that were named, each once', () => {
    expect(addresses({ addresses: ['127.0.0.1', '10.0.0.5', '10.0.0.5'] })).toEqual(['127.0.0.1', '10.0.0.5']);
  });

  it.each([
    [{ addresses: ['0.0.0.0'] }, 'the listen address 0.0.0.0 needs an announced address of its family'],
    [{ addresses: ['::'], announced: announced(['203.0.113.7']) }, ':: needs an announced address of its family'],
    [
      { addresses: ['0.0.0.0', '127.0.0.1'], announced: announced(['203.0.113.7']) },
      '0.0.0.0 already covers the others of its family',
    ],
  ])('are refused with a reason: %j', (settings, reason) => {
    expect(() => addresses(settings)).toThrow(reason);
  });
});

describe('what clients are told', () => {
  const names = announced(['203.0.113.7', '203.0.113.8'], ['2001:db8::7']);

  it('is the announced addresses of the family, but for loopback', () => {
    expect(toldAddresses('10.0.0.5', names)).toEqual(['203.0.113.7', '203.0.113.8']);
    expect(toldAddresses('::', names)).toEqual(['2001:db8::7']);
    expect(toldAddresses('127.0.0.1', names)).toEqual(['127.0.0.1']);
    expect(toldAddresses('fd00::5', announced(['203.0.113.7']))).toEqual(['fd00::5']);
    expect(toldAddresses('10.0.0.5', undefined)).toEqual(['10.0.0.5']);
  });

  it('is never a wildcard', () => {
    expect(toldAddresses('::', announced(['203.0.113.7']))).toEqual([]);
    expect(toldAddresses('0.0.0.0', undefined)).toEqual([]);
  });

  it('has a candidate for each, with a priority of its own', () => {
    const candidate = (address: string, priority: number) => ({
      ...{ foundation: 'udpcandidate', ip: address, address, port: 40_000, type: 'host' as const },
      ...{ protocol: 'udp' as const, priority },
    });
    const told = announce([candidate('0.0.0.0', 1_076_302_079), candidate('::', 1_076_276_479)], names);
    expect(told.map(({ address, port }) => [address, port])).toEqual([
      ['203.0.113.7', 40_000],
      ['203.0.113.8', 40_000],
      ['2001:db8::7', 40_000],
    ]);
    expect(new Set(told.map(({ priority }) => priority)).size).toBe(3);
  });

  it.each([
    '203.0.113.7',
    '10.0.0.5',
    '127.0.0.1',
    '2001:db8::7',
    'fd00::5',
    '::1',
    'media.example.com',
    'localhost',
    'a-1.b2',
  ])('can be %s', (address) => expect(isAnnounceable(address)).toBe(true));

  it.each([
    ...[
      '',
      '0.0.0.0',
      '0.1.2.3',
      '::',
      '0:0:0:0:0:0:0:0',
      '169.254.1.2',
      'fe80::1',
      'fe80::1%eth0',
      '224.0.0.1',
      'ff02::1',
    ],
    ...[
      '255.255.255.255',
      '::ffff:203.0.113.7',
      '1.2.3',
      '1.2.3.4.5',
      '256.1.1.1',
      '0x7f000001',
      '2130706433',
      '1.2.3.4:5000',
    ],
    ...[
      '[2001:db8::7]',
      '2001:db8::7:',
      'http://example.com',
      'example.com:80',
      'a b',
      '-a.example',
      'a..b',
      'a.b.',
      'ä.example',
    ],
    ...[`${'a'.repeat(64)}.example`, 'a_b.example', '203.0.113.7/24', 'example.1'],
  ])('cannot be "%s"', (address) => expect(isAnnounceable(address)).toBe(false));
});

describe('a listen address', () => {
  it.each(['0.0.0.0', '::', '127.0.0.1', '::1', '10.0.0.5', 'fd00::5'])('can be %s', (ip) =>
    expect(isListenable(ip)).toBe(true),
  );
  it.each([
    'localhost',
    '169.254.1.2',
    'fe80::1',
    'fe80::1%eth0',
    '224.0.0.1',
    'ff02::1',
    '255.255.255.255',
    '1.2.3',
    '',
  ])('cannot be "%s"', (ip) => expect(isListenable(ip)).toBe(false));
});

describe('the listen infos', () => {
  const both = ['10.0.0.5', 'fd00::5'];

  it('are one per address and protocol, IPv6 alone on IPv6', () => {
    expect(listenInfos(both, undefined)).toEqual([
      { ip: '10.0.0.5', protocol: 'udp' },
      { ip: '10.0.0.5', protocol: 'tcp' },
      { ip: 'fd00::5', protocol: 'udp', flags: { ipv6Only: true } },
      { ip: 'fd00::5', protocol: 'tcp', flags: { ipv6Only: true } },
    ]);
  });

  it('name the range, or the ports of the predecessor', () => {
    const ranges = listenInfos(both, { min: 40_000, max: 40_009 }).map(({ portRange }) => portRange);
    expect(ranges).toEqual(Array(4).fill({ min: 40_000, max: 40_009 }));
    const ports = listenInfos(both, { udp: [1001, 1003], tcp: [1002, 1004] }).map(({ port }) => port);
    expect(ports).toEqual([1001, 1002, 1003, 1004]);
  });
});

describe('a port range', () => {
  it('is read from min-max', () => {
    expect(parsePortRange('40000-40100')).toEqual({ min: 40_000, max: 40_100 });
    expect(parsePortRange('40000-40000')).toEqual({ min: 40_000, max: 40_000 });
  });

  it.each(['40000', '40000-', 'a-b', '-1-5', '0-10', '40000-70000', '40100-40000', '40000-40100x', ''])(
    'is not "%s"',
    (text) => {
      expect(() => parsePortRange(text)).toThrow('port range');
    },
  );

  it('has one port for every worker', () => {
    expect(() => requirePorts({ min: 40_000, max: 40_001 }, 2)).not.toThrow();
    expect(() => requirePorts({ min: 40_000, max: 40_001 }, 3)).toThrow('holds 2 of the 3 ports that 3 workers need');
  });
});

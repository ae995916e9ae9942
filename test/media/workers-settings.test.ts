import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { type ListenSettings, listenAddresses, listenInfos } from '../../src/media/addresses.ts';
import { parsePortRange, requirePorts } from '../../src/media/ports.ts';

const ipv4 = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  netmask: '255.255.255.0',
  family: 'IPv4',
  mac: '02:00:00:00:00:01',
  internal,
  cidr: `${address}/24`,
});

const laptop = {
  lo: [ipv4('127.0.0.1', true)],
  docker0: [ipv4('172.17.0.1')],
  'br-12ab': [ipv4('172.18.0.1')],
  veth99: [ipv4('169.254.3.4')],
  wlan0: [ipv4('192.168.1.20')],
};

const addresses = (settings: ListenSettings = {}, interfaces: Parameters<typeof listenAddresses>[1] = laptop) =>
  listenAddresses(settings, interfaces);

describe('the addresses', () => {
  it('of a laptop are loopback and the LAN, without bridges', () => {
    expect(addresses()).toEqual([{ ip: '127.0.0.1' }, { ip: '192.168.1.20' }]);
  });

  it('of a machine without a network are loopback alone', () => {
    expect(addresses({}, { lo: [ipv4('127.0.0.1', true)], eth0: undefined })).toEqual([{ ip: '127.0.0.1' }]);
  });

  it('stay few on a machine with many networks', () => {
    const many = { eth0: ['10.0.0.1', '10.0.1.1', '10.0.2.1', '10.0.3.1'].map((address) => ipv4(address)) };
    expect(addresses({}, many)).toHaveLength(3);
  });

  it('are all of them under an announced address alone', () => {
    expect(addresses({ announcedAddress: '203.0.113.7' })).toEqual([
      { ip: '0.0.0.0', announcedAddress: '203.0.113.7' },
    ]);
    expect(addresses({ announcedAddress: '2001:db8::7' })).toEqual([{ ip: '::', announcedAddress: '2001:db8::7' }]);
    expect(addresses({ announcedAddress: 'media.example.com' })).toEqual([
      { ip: '0.0.0.0', announcedAddress: 'media.example.com' },
    ]);
  });

  it('are announced as another one except for loopback and the other family', () => {
    const settings = { addresses: ['127.0.0.1', '10.0.0.5', 'fd00::5', '10.0.0.5'], announcedAddress: '203.0.113.7' };
    expect(addresses(settings)).toEqual([
      { ip: '127.0.0.1' },
      { ip: '10.0.0.5', announcedAddress: '203.0.113.7' },
      { ip: 'fd00::5' },
    ]);
  });

  it.each([
    [{ addresses: ['0.0.0.0'] }, 'listening on 0.0.0.0 needs an announced address of its family'],
    [{ addresses: ['::'], announcedAddress: '203.0.113.7' }, 'listening on :: needs an announced address'],
    [{ addresses: ['localhost'] }, 'the listen address "localhost" is not an IP address'],
    [{ addresses: ['0.0.0.0', '127.0.0.1'], announcedAddress: '203.0.113.7' }, '0.0.0.0 already covers the others'],
    [{ addresses: ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5'] }, 'at most 4 listen addresses'],
    [{ announcedAddress: 'a b' }, 'the announced address "a b" is neither an IP address nor a host name'],
  ])('are refused with a reason: %j', (settings, reason) => {
    expect(() => addresses(settings)).toThrow(reason);
  });
});

describe('the listen infos', () => {
  const both = [{ ip: '10.0.0.5', announcedAddress: '203.0.113.7' }, { ip: 'fd00::5' }];

  it('are one per address and protocol, IPv6 alone on IPv6', () => {
    expect(listenInfos(both, undefined)).toEqual([
      { ip: '10.0.0.5', announcedAddress: '203.0.113.7', protocol: 'udp' },
      { ip: '10.0.0.5', announcedAddress: '203.0.113.7', protocol: 'tcp' },
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

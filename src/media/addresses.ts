import { isIP, isIPv4 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import type { TransportListenInfo, TransportProtocol } from 'mediasoup/types';
import { isLoopback } from '../loopback.ts';
import type { PortRange } from './ports.ts';

/** What `os.networkInterfaces()` returns. */
export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

export interface ListenSettings {
  /** Local IP addresses; loopback and the LAN addresses by default. */
  addresses?: readonly string[] | undefined;
  /** IP address or host name that clients are told instead of the local one; loopback keeps its own. */
  announcedAddress?: string | undefined;
}

export interface ListenAddress {
  readonly ip: string;
  readonly announcedAddress?: string;
}

/** The ports that one worker has bound, in the order of its addresses. */
export type BoundPorts = Readonly<Record<TransportProtocol, readonly number[]>>;

/** A WebRtcServer takes eight listenInfos; every address needs one for UDP and one for TCP. */
const MAX_ADDRESSES = 4;
const MAX_LAN_ADDRESSES = 2;

/** Bridges of containers and virtual machines: no caller comes from there, and every address costs two sockets a worker. */
const VIRTUAL_INTERFACE = /^(docker|br-|veth|virbr|vmnet|vboxnet|cni|cali|flannel|lxc|podman)/;
const LINK_LOCAL = /^169\.254\./;
const HOST_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i;

/** Where the workers listen and what clients are told; throws an Error that says which setting to change. */
export const listenAddresses = (settings: ListenSettings, interfaces: Interfaces): ListenAddress[] => {
  const { announcedAddress } = settings;
  if (announcedAddress !== undefined && !isIP(announcedAddress) && !HOST_NAME.test(announcedAddress)) {
    throw new Error(`the announced address "${announcedAddress}" is neither an IP address nor a host name`);
  }
  const ips = [...new Set(settings.addresses ?? defaultAddresses(announcedAddress, interfaces))];
  requireUsable(ips);
  return ips.map((ip) => withAnnounced(ip, announcedAddress));
};

/** One listenInfo per address and protocol; the ports that a dead worker had, a range, or whatever is free. */
export const listenInfos = (
  addresses: readonly ListenAddress[],
  ports: BoundPorts | PortRange | undefined,
): TransportListenInfo[] =>
  addresses.flatMap((address, index) =>
    (['udp', 'tcp'] as const).map((protocol) => ({
      ...address,
      protocol,
      ...portOf(ports, protocol, index),
      // Without it a dual-stack `::` also takes the IPv4 port, and 0.0.0.0 beside it fails to bind.
      ...(isIPv4(address.ip) ? {} : { flags: { ipv6Only: true } }),
    })),
  );

const defaultAddresses = (announcedAddress: string | undefined, interfaces: Interfaces): string[] => {
  if (announcedAddress !== undefined) return [isIP(announcedAddress) === 6 ? '::' : '0.0.0.0'];
  const lan = Object.entries(interfaces)
    .filter(([name]) => !VIRTUAL_INTERFACE.test(name))
    .flatMap(([, infos]) => infos ?? [])
    .filter(({ family, internal, address }) => family === 'IPv4' && !internal && !LINK_LOCAL.test(address))
    .map(({ address }) => address);
  return ['127.0.0.1', ...lan.slice(0, MAX_LAN_ADDRESSES)];
};

const requireUsable = (ips: readonly string[]): void => {
  const bad = ips.find((ip) => !isIP(ip));
  if (bad !== undefined) throw new Error(`the listen address "${bad}" is not an IP address`);
  if (ips.length > MAX_ADDRESSES) throw new Error(`at most ${MAX_ADDRESSES} listen addresses can be used`);
  const wildcard = ips.find((ip) => isWildcard(ip) && ips.some((other) => other !== ip && isIP(other) === isIP(ip)));
  if (wildcard !== undefined) throw new Error(`the listen address ${wildcard} already covers the others`);
};

const withAnnounced = (ip: string, announcedAddress: string | undefined): ListenAddress => {
  // A client that is told an address of the other family would send where nobody listens.
  const family = announcedAddress === undefined ? undefined : isIP(announcedAddress);
  const applies = family !== undefined && !isLoopback(ip) && (family === 0 || family === isIP(ip));
  if (isWildcard(ip) && !applies) {
    throw new Error(`listening on ${ip} needs an announced address of its family: clients cannot be told "${ip}"`);
  }
  return applies && announcedAddress !== undefined ? { ip, announcedAddress } : { ip };
};

const isWildcard = (ip: string): boolean => ip === '0.0.0.0' || ip === '::';

const portOf = (ports: BoundPorts | PortRange | undefined, protocol: TransportProtocol, index: number) => {
  if (ports === undefined) return {};
  if ('min' in ports) return { portRange: { min: ports.min, max: ports.max } };
  const port = ports[protocol][index];
  return port === undefined ? {} : { port };
};

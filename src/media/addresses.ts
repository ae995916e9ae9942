import { isIP, isIPv4 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import type { IceCandidate, TransportListenInfo, TransportProtocol } from 'mediasoup/types';
import { isReachable, isWildcard, listenMistake } from '../config/media-addresses.ts';
import type { PortRange } from '../config/port-range.ts';
import { isLoopback } from '../shared/loopback.ts';

/** What `os.networkInterfaces()` returns. */
export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

export type Family = 4 | 6;

/** Addresses that clients are told instead of local ones; those of a family without any are told as they are. */
export interface Announced extends Readonly<Record<Family, readonly string[]>> {
  /** Whether they are those of a host name, which may have others later. */
  readonly name: boolean;
}

export interface ListenSettings {
  /** Local IP addresses; loopback and the LAN addresses by default, or all where an address is announced. */
  addresses?: readonly string[] | undefined;
  announced?: Announced | undefined;
}

/** The ports that one worker has bound, in the order of its addresses. */
export type BoundPorts = Readonly<Record<TransportProtocol, readonly number[]>>;

/** Every address costs two sockets a worker, and two candidates in each section of each offer. */
export const MAX_LAN_ADDRESSES = 8;

/** Bridges of containers and virtual machines: callers seldom come from there, so that they are the last to be taken. */
const VIRTUAL_INTERFACE = /^(docker|br-|veth|virbr|vmnet|vboxnet|cni|cali|flannel|lxc|podman)/;

/** Where the workers listen; throws an Error that says which setting to change. */
export const listenAddresses = ({ addresses, announced }: ListenSettings, interfaces: Interfaces): string[] => {
  if (addresses === undefined) return announced ? wildcards(announced, interfaces) : localAddresses(interfaces);
  const ips = [...new Set(addresses)];
  const mistake = listenMistake(ips, (family) => (announced?.[family as Family] ?? []).length > 0);
  if (mistake !== undefined) throw new Error(`the listen address ${mistake}`);
  return ips;
};

/** Loopback and the LAN, whichever interface and family; how many there are is for `lanAddresses` to tell. */
const localAddresses = (interfaces: Interfaces): string[] => {
  const loopback = infosOf(interfaces).some(({ address }) => address === '::1') ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
  return [...loopback, ...lanAddresses(interfaces).slice(0, MAX_LAN_ADDRESSES)];
};

/** Every address of this machine that others may reach: real interfaces first, and of each the first of a family. */
export const lanAddresses = (interfaces: Interfaces): string[] => {
  const ranked = Object.entries(interfaces).flatMap(([name, infos = []]) => {
    const own = infos.filter(({ internal, address }) => !internal && isReachable(address));
    const before = (info: NetworkInterfaceInfo) =>
      own.slice(0, own.indexOf(info)).filter(({ family }) => family === info.family).length;
    return own.map((info) => ({ ip: info.address, rank: before(info) + (VIRTUAL_INTERFACE.test(name) ? 1000 : 0) }));
  });
  return [...new Set(ranked.sort((a, b) => a.rank - b.rank).map(({ ip }) => ip))];
};

/** All addresses of the families that are announced, or that a name may have later. */
const wildcards = (announced: Announced, interfaces: Interfaces): string[] => {
  const has = (family: Family) => infosOf(interfaces).some(({ address }) => isIP(address) === family);
  const families = ([4, 6] as const).filter(
    (family) => announced[family].length > 0 || (announced.name && has(family)),
  );
  return families.map((family) => (family === 4 ? '0.0.0.0' : '::'));
};

/** What clients are told of a local address. Loopback keeps its own; a wildcard without an announced one is not told. */
export const toldAddresses = (ip: string, announced: Announced | undefined): readonly string[] => {
  const told = isLoopback(ip) ? [] : (announced?.[isIP(ip) as Family] ?? []);
  if (told.length > 0) return told;
  return isWildcard(ip) ? [] : [ip];
};

/** The candidates of a transport as clients are told them. mediasoup leaves 100 preferences between two sockets. */
export const announce = (candidates: readonly IceCandidate[], announced: Announced | undefined): IceCandidate[] =>
  candidates.flatMap((candidate) =>
    toldAddresses(candidate.address, announced).map((address, index) => ({
      ...candidate,
      address,
      priority: candidate.priority - index * 256,
    })),
  );

/** One listenInfo per address and protocol; the ports that a dead worker had, a range, or whatever is free. */
export const listenInfos = (ips: readonly string[], ports: BoundPorts | PortRange | undefined): TransportListenInfo[] =>
  ips.flatMap((ip, index) =>
    (['udp', 'tcp'] as const).map((protocol) => ({
      ip,
      protocol,
      ...portOf(ports, protocol, index),
      // Without it a dual-stack `::` also takes the IPv4 port, and 0.0.0.0 beside it fails to bind.
      ...(isIPv4(ip) ? {} : { flags: { ipv6Only: true } }),
    })),
  );

const infosOf = (interfaces: Interfaces): NetworkInterfaceInfo[] =>
  Object.values(interfaces).flatMap((infos) => infos ?? []);

const portOf = (ports: BoundPorts | PortRange | undefined, protocol: TransportProtocol, index: number) => {
  if (ports === undefined) return {};
  if ('min' in ports) return { portRange: { min: ports.min, max: ports.max } };
  const port = ports[protocol][index];
  return port === undefined ? {} : { port };
};

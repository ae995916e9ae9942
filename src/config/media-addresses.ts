import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Ranges of addresses that no client can be sent to, or that mean another host for each who is told them. */
const UNREACHABLE: ReadonlySet<string> = new Set(['unspecified', 'broadcast', 'multicast', 'linkLocal', 'ipv4Mapped']);

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
/** A name that ends like this is an IPv4 address, or was meant to be one. */
const NUMBER = /^([0-9]+|0x[0-9a-f]*)$/i;

/** Whether clients can be told this IP address. */
export const isReachable = (ip: string): boolean =>
  isIP(ip) !== 0 && !ip.includes('%') && !UNREACHABLE.has(ipaddr.parse(ip).range());

/** Whether a text is an IP address that clients can be told, or a host name (RFC 1123 section 2.1). */
export const isAnnounceable = (text: string): boolean => {
  if (isIP(text)) return isReachable(text);
  const labels = text.split('.');
  return text.length <= 253 && labels.every((label) => LABEL.test(label)) && !NUMBER.test(labels.at(-1) ?? '');
};

/** Whether media can be taken on this local IP address. */
export const isListenable = (ip: string): boolean => isWildcard(ip) || isReachable(ip);

/** What is wrong with these addresses together; `announces` tells whether a family has an announced address. */
export const listenMistake = (ips: readonly string[], announces: (family: number) => boolean): string | undefined => {
  const wildcards = ips.filter(isWildcard);
  const covering = wildcards.find((ip) => ips.some((other) => other !== ip && isIP(other) === isIP(ip)));
  if (covering !== undefined) return `${covering} already covers the others of its family`;
  const bare = wildcards.find((ip) => !announces(isIP(ip)));
  return bare && `${bare} needs an announced address of its family: clients cannot be told "${bare}"`;
};

export const isWildcard = (ip: string): boolean => ip === '0.0.0.0' || (isIP(ip) === 6 && /^[0:]+$/.test(ip));

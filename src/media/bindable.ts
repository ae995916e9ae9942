import { createSocket } from 'node:dgram';
import { isIPv4 } from 'node:net';

/** An address that the system does not have (yet), or a family that it does not speak. */
const MISSING: ReadonlySet<string | undefined> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** Those of these addresses that this machine has: an interface may be going up or down. */
export const bindable = async (ips: readonly string[]): Promise<string[]> => {
  const able = await Promise.all(ips.map(canBind));
  return ips.filter((_, index) => able[index]);
};

const canBind = (ip: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket({ type: isIPv4(ip) ? 'udp4' : 'udp6', ipv6Only: !isIPv4(ip) });
    const done = (able: boolean) => socket.close(() => resolve(able));
    socket.once('error', (error: NodeJS.ErrnoException) => done(!MISSING.has(error.code)));
    socket.bind(0, ip, () => done(true));
  });

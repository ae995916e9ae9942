import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { type EventEmitter, once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that systems give to clients (Linux: from 32,768), which could take one before its server does. */
const FIRST = 10_000;
const LAST = 20_000;

/** A port that is free on 127.0.0.1 for both TCP and UDP, and so are those this far above it, by 10,000 at most. */
export const freePort = async (...above: number[]): Promise<number> => {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(FIRST, LAST);
    const free = await Promise.all([0, ...above].map((offset) => isFree(port + offset)));
    if (free.every(Boolean)) return port;
  }
  throw new Error('no free port found');
};

const isFree = async (port: number): Promise<boolean> => {
  const server = createServer().listen(port, '127.0.0.1');
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  const [tcp, udp] = await Promise.all([isBound(server), isBound(socket)]);
  await Promise.all([
    tcp && new Promise((resolve) => server.close(resolve)),
    udp && new Promise<void>((resolve) => socket.close(resolve)),
  ]);
  return tcp && udp;
};

/** `once` rejects on `error`. */
const isBound = (held: EventEmitter): Promise<boolean> =>
  once(held, 'listening').then(
    () => true,
    () => false,
  );

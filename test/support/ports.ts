import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** The first of `count` consecutive ports that are free on 127.0.0.1 for both TCP and UDP. */
export const freePort = async ({ count = 1 }: { count?: number } = {}): Promise<number> => {
  for (let attempt = 0; attempt < 100; attempt++) {
    const first = await holdTcp(0);
    if (first === undefined || first + count > 65_535) continue;
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const free = await Promise.all(ports.map(async (port) => (await holdTcp(port)) && (await holdUdp(port))));
    if (free.every(Boolean)) return first;
  }
  throw new Error(`no ${count} consecutive free ports found`);
};

const holdTcp = async (port: number): Promise<number | undefined> => {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  // Rejects on `error`.
  const bound = await once(server, 'listening').then(
    () => true,
    () => false,
  );
  if (!bound) return undefined;
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' ? address?.port : undefined;
};

const holdUdp = async (port: number): Promise<boolean> => {
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  const bound = await once(socket, 'listening').then(
    () => true,
    () => false,
  );
  if (bound) await new Promise<void>((resolve) => socket.close(resolve));
  return bound;
};

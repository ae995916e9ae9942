// Read in ioredis 6.0.0: every connector keeps its stream in a property of this name, and nothing else sets it.
import type { Socket } from 'node:net';
import { AbstractConnector, Cluster, type Redis } from 'ioredis';
import { type HookLog, hookMissed } from '../shared/hook.ts';

const streams = new WeakMap<object, Socket>();
const heard = new WeakSet<object>();

/**
 * ioredis listens for one error of a stream, and a TLS stream may emit two (its certificate is refused, and then comes the
 * other side's alert): the second would end the process. Every stream of every client, also of those that ioredis makes
 * for itself, is set here by a connector.
 */
Object.defineProperty(AbstractConnector.prototype, 'stream', {
  get(this: object): Socket | undefined {
    return streams.get(this);
  },
  set(this: object, stream: Socket) {
    stream?.on('error', () => undefined);
    streams.set(this, stream);
    if (stream) heard.add(stream);
  },
});

/** Warns when a client's stream came about in another way. */
export function checkStreams<Client extends Redis | Cluster>(client: Client, log: HookLog): Client {
  if (client instanceof Cluster) client.on('+node', (node: Redis) => checkStreams(node, log));
  else
    client.on('connect', () => {
      if (!heard.has(client.stream)) hookMissed(log, { library: 'ioredis', hook: 'errors of streams' });
    });
  return client;
}

// Read in ioredis 6.0.0: `connect` says `end`, after which nothing connects again, where its connector fails; and the connector of Sentinel
// fails when a failover is announced while it looks for the master. `end` also follows a `disconnect()`, which is the only way to ask.
import type { Redis } from 'ioredis';
import { type HookLog, hookMissed } from '../shared/hook.ts';

/**
 * A failover that Sentinel announces while ioredis is looking for the master ends its connecting for good, as if it had been
 * asked to; whoever did not ask connects again, so many milliseconds later.
 */
export function comeBack(client: Redis, afterMs: () => number, log: HookLog): Redis {
  const disconnect = client.disconnect.bind(client);
  let asked = false;
  client.disconnect = (reconnect = false) => {
    asked ||= !reconnect;
    disconnect(reconnect);
  };
  const connect = () => {
    if (asked) return;
    // An end that is none.
    if (client.status !== 'end') return hookMissed(log, { library: 'ioredis', hook: 'connecting again after its end' });
    // Its failures are told as errors; each is followed by another end.
    client.connect().catch(() => undefined);
  };
  client.on('end', () => {
    if (!asked) setTimeout(connect, afterMs()).unref();
  });
  return client;
}

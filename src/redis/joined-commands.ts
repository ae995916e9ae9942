// Read in ioredis 6.0.0: each command is one `write` of `client.stream`, the socket that is there from `connect` on; its own pipelining
// would not recover from a NOSCRIPT. A silent connection is given up by `stream.destroy(new Error('Socket timeout…'))`, from a timer.
import { Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { type HookLog, hookMissed } from '../shared/hook.ts';
import { joinWrites } from '../shared/join-writes.ts';

/** Redis works on these while the next ones are written. */
const COMMANDS_OF_A_WRITE = 8;

/** Lets the commands of one event-loop turn leave joined, and reads what came before a connection is given up as silent. */
export function withJoinedCommands(client: Redis, log: HookLog): Redis {
  const missed = () => hookMissed(log, { library: 'ioredis', hook: 'joined commands' });
  client.on('connect', () => {
    const { stream } = client;
    if (!(stream instanceof Socket)) return missed();
    readFirst(stream);
    joinWrites(stream, COMMANDS_OF_A_WRITE);
  });
  client.on('ready', () => {
    if ((client.stream as Socket).bytesWritten === 0) missed();
  });
  return client;
}

/** What came while this process was stopped is read before a silent connection is given up. */
function readFirst(stream: Socket): void {
  const destroy = stream.destroy.bind(stream);
  stream.destroy = (error?: Error) => {
    if (!error?.message.startsWith('Socket timeout')) return destroy(error);
    const read = stream.bytesRead;
    setImmediate(() => stream.bytesRead === read && destroy(error));
    return stream;
  };
}

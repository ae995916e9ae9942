import type { Writable } from 'node:stream';

/**
 * Lets the writes of one event-loop turn leave joined, `atMost` in one: under load each costs more than what it carries. With
 * many, the reader works on the first while the next are written. What is written, and in which order, stays the same.
 */
export function joinWrites(stream: Writable, atMost: number): void {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  const destroy = stream.destroy.bind(stream);
  let held = 0;
  let due = false;
  const leave = () => {
    if (held > 0) stream.uncork();
    held = 0;
  };
  const turn = () => {
    due = false;
    leave();
  };
  stream.write = (chunk: unknown, ...rest: unknown[]): boolean => {
    if (!due) setImmediate(turn);
    due = true;
    if (held === 0) stream.cork();
    held += 1;
    const more = write(chunk, ...rest);
    if (held >= atMost) leave();
    return more;
  };
  // What was written before still goes out: mediasoup tells a worker to close and destroys the pipe in one go.
  stream.destroy = (error?: Error) => {
    leave();
    return destroy(error);
  };
}

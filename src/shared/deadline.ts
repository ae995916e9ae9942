/**
 * Calls `late` once `ms` have passed, after the event loop has read what the kernel held by then: a process that was
 * stopped, or busy, finds its timers due before it has looked at what came in time.
 * @returns calls it off.
 */
export function deadline(ms: number, late: () => void): () => void {
  let judging: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // Immediates run right after the event loop's poll phase, in which all sockets and pipes are read.
    judging = setImmediate(late);
  }, ms);
  return () => {
    clearTimeout(timer);
    clearImmediate(judging);
  };
}

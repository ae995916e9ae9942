// Read in mediasoup 3.27.1: the constructor of its WorkerImpl registers handlers for SIGINT and SIGTERM, synchronously.
import { type HookLog, hookMissed } from '../../shared/hook.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * mediasoup closes each of its workers on SIGINT and SIGTERM by itself, which would cut every call before the server's
 * own stop has told anybody. Runs what makes a worker, and takes the handlers away that it registers.
 */
export const withoutSignalHandlers = <T>(make: () => Promise<T>, log: HookLog): Promise<T> => {
  const before = SIGNALS.map((signal) => new Set(process.listeners(signal)));
  const made = make();
  const taken = SIGNALS.map((signal, index) => {
    const added = process.listeners(signal).filter((listener) => !before[index]?.has(listener));
    for (const listener of added) process.removeListener(signal, listener);
    return added.length;
  });
  // One that could not be made may not have come that far.
  const check = () => {
    if (taken.includes(0)) hookMissed(log, { library: 'mediasoup', hook: 'signal handlers of workers' });
  };
  made.then(check, () => undefined);
  return made;
};

import { parentPort, workerData } from 'node:worker_threads';
import { ConfigError } from '../config/yaml-file.ts';
import { type Entry, entriesOf } from './build.ts';
import type { FromThread, Source } from './parse-thread.ts';
import { parseTenants } from './tenants.ts';

/** Whoever gets them has built a directory of so many in a few milliseconds. */
const SLICE = 250;

const port = parentPort!;
const tell = (message: FromThread) => port.postMessage(message);

try {
  const { text, name } = workerData as Source;
  const entries: Entry[] = [...entriesOf(parseTenants(text, name))];
  let told = 0;
  const next = () => {
    const slice = entries.slice(told, told + SLICE);
    told += slice.length;
    tell({ entries: slice, done: told === entries.length });
  };
  port.on('message', next);
  next();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  tell({ mistakes: error.mistakes });
}

import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ConfigError } from '../config/yaml-file.ts';
import { buildDirectory, DirectoryBuilder, type Entry } from './build.ts';
import type { Directory } from './directory.ts';
import { parseTenants } from './tenants.ts';

/** The text of a tenants file, and the name that its error messages give it. */
export interface Source {
  text: string;
  name: string;
}

export type FromThread = { entries: Entry[]; done: boolean } | { mistakes: readonly string[] };

/** A text of this length is read in some milliseconds, whatever is wrong with it, unless it has anchors; starting a thread takes more. */
const SMALL = 2048;

/** The largest file needs a small part of both. */
const DEADLINE_MS = 60_000;
const MAX_HEAP_MB = 1024;

// The thread's file is TypeScript when this one is, and JavaScript in the package.
const THREAD = new URL(`./tenants-thread${extname(import.meta.url)}`, import.meta.url);

/**
 * Makes the directory of a tenants file without blocking calls: unless the text is small it is parsed on a thread of its own,
 * and the entries are taken over a few at a time.
 * @throws {ConfigError} with the mistakes, or when it takes too long; rejects when the signal aborts
 */
export async function parseInThread(source: Source, signal: AbortSignal): Promise<Directory> {
  const { text, name } = source;
  if (text.length <= SMALL && !text.includes('&')) return buildDirectory(parseTenants(text, name));
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const until = AbortSignal.any([signal, deadline]);
  const thread = new Worker(THREAD, { workerData: source, resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB } });
  const builder = new DirectoryBuilder();
  try {
    for (;;) {
      const [answer] = (await once(thread, 'message', { signal: until })) as [FromThread];
      if ('mistakes' in answer) throw new ConfigError(answer.mistakes);
      for (const entry of answer.entries) builder.add(entry);
      if (answer.done) return builder.directory();
      thread.postMessage('next');
    }
  } catch (error) {
    if (!deadline.aborted) throw error;
    throw new ConfigError([`${name}: takes more than ${DEADLINE_MS} ms to read`]);
  } finally {
    await thread.terminate();
  }
}

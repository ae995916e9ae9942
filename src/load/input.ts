import { closeSync, constants, createReadStream, openSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { isUtf16 } from '../shared/text-file.ts';
import { UsageError } from './usage-error.ts';

/** A pipe on which nothing comes for so long is given up. */
const SILENCE_SECONDS = 30;
/** Until somebody writes to a pipe, it looks like one that has ended. */
const LOOK_AGAIN_MS = 100;

/**
 * The text of a file or of a pipe, piece by piece; how much of it is enough is up to the caller.
 * @throws {UsageError} when it cannot be read, is UTF-16, or is a pipe on which nothing comes.
 */
export async function* piecesOf(path: string): AsyncGenerator<string> {
  try {
    const decoder = new TextDecoder();
    let isFirst = true;
    for await (const piece of (await isPlainFile(path)) ? read(path, createReadStream(path)) : readPipe(path)) {
      if (isFirst && isGzip(piece)) throw new UsageError(`${path} is compressed; give what \`zcat\` makes of it`);
      if (isFirst && isUtf16(piece)) throw new UsageError(`${path} is UTF-16; save it as UTF-8`);
      isFirst = false;
      yield decoder.decode(piece, { stream: true });
    }
    yield decoder.decode();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** RFC 1952 section 2.3.1 */
const isGzip = ([first, second]: Uint8Array): boolean => first === 0x1f && second === 0x8b;

async function isPlainFile(path: string): Promise<boolean> {
  const kind = await stat(path);
  if (!kind.isFile() && !kind.isFIFO()) throw new UsageError(`${path} is neither a file nor a pipe`);
  return kind.isFile();
}

async function* read(path: string, stream: Readable): AsyncGenerator<Buffer> {
  const timer = setTimeout(() => stream.destroy(silence(path)), SILENCE_SECONDS * 1000);
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      timer.refresh();
      yield piece;
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Without a writer a pipe reads like one that has ended: that is looked at again until one has come. */
async function* readPipe(path: string): AsyncGenerator<Buffer> {
  const until = performance.now() + SILENCE_SECONDS * 1000;
  // Whoever begins to write between two looks finds a reader.
  const held = openPipe(path);
  try {
    for (let came = false; !came; ) {
      for await (const piece of read(path, new Socket({ fd: openPipe(path), readable: true, writable: false }))) {
        came = true;
        yield piece;
      }
      if (!came && performance.now() > until) throw silence(path);
      if (!came) await delay(LOOK_AGAIN_MS);
    }
  } finally {
    closeSync(held);
  }
}

/** Read like a file, a pipe on which nothing comes would hold a thread of libuv, and with it the end of the process. */
const openPipe = (path: string): number => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);

const silence = (path: string): UsageError => new UsageError(`nothing came from ${path} for ${SILENCE_SECONDS} s`);

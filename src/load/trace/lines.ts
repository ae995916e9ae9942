import { createReadStream } from 'node:fs';
import { isUtf16 } from '../../text-file.ts';
import type { Arrival } from '../plan.ts';
import { UsageError } from '../usage-error.ts';

const MAX_LINE = 4096;
const MAX_TOLD = 5;

/**
 * One line as the session that it tells of, with `atMs` in epoch milliseconds; or what is wrong with it, in a sentence; or
 * undefined when its writer was killed in the middle of it.
 */
export type ReadLine = (line: string, isFirst: boolean) => Arrival | string | undefined;

/** What is wrong with a file, line by line: the first few, and how many more there are. */
export class Mistakes {
  readonly #told: string[] = [];
  #more = 0;

  add(line: number, what: string): void {
    if (this.#told.length < MAX_TOLD) this.#told.push(`line ${line}: ${what}`);
    else this.#more++;
  }

  /** Throws when there is any. */
  check(path: string): void {
    if (this.#told.length === 0) return;
    const more = this.#more > 0 ? [`and ${this.#more} more mistakes`] : [];
    throw new UsageError([`${path} cannot be used:`, ...this.#told, ...more].join('\n  '));
  }
}

/**
 * Hands over every line that is not blank, trimmed, with its number from 1 on; a line of more than 4 KiB is a mistake. Of the
 * file no more than a piece is ever in memory.
 * @throws {UsageError} when the file cannot be read.
 */
export async function eachLine(path: string, mistakes: Mistakes, take: (line: string, number: number) => void) {
  let number = 0;
  let rest = '';
  const end = (line: string) => {
    number++;
    if (line.length > MAX_LINE) return mistakes.add(number, 'is longer than 4 KiB');
    const text = line.trim();
    if (text !== '') take(text, number);
  };
  for await (const chunk of pieces(path)) {
    const lines = (rest + chunk).split('\n');
    // Of a line that is too long already, its beginning tells that.
    rest = lines.pop()!.slice(0, MAX_LINE + 1);
    lines.forEach(end);
  }
  end(rest);
}

async function* pieces(path: string): AsyncGenerator<string> {
  try {
    const decoder = new TextDecoder();
    let isFirst = true;
    for await (const chunk of createReadStream(path)) {
      if (isFirst && isUtf16(chunk as Buffer)) throw new UsageError(`${path} is UTF-16; save it as UTF-8`);
      isFirst = false;
      yield decoder.decode(chunk as Buffer, { stream: true });
    }
    yield decoder.decode();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

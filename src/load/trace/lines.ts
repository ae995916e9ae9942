import { piecesOf } from '../input.ts';
import type { Arrival } from '../plan.ts';
import { UsageError } from '../usage-error.ts';

const MAX_LINE = 4096;
/** What goes on for longer has no lines. */
const MAX_UNENDED = 1024 * 1024;
/** Twice the sessions that a recording may hold: a header, blank and cut lines are none. */
const MAX_LINES = 2_000_000;
const MAX_TOLD = 5;
/** After so many mistakes the rest is not read. */
const MAX_MISTAKES = 10_000;

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

  get tooMany(): boolean {
    return this.#more >= MAX_MISTAKES;
  }

  /** Throws when there is any. */
  check(path: string): void {
    if (this.#told.length === 0) return;
    const rest = this.tooMany ? ', and what follows was not read' : '';
    const more = this.#more > 0 ? [`and ${this.#more} more mistakes${rest}`] : [];
    throw new UsageError([`${path} cannot be used:`, ...this.#told, ...more].join('\n  '));
  }
}

/**
 * Hands over every line that is not blank, trimmed, with its number from 1 on; a line of more than 4 KiB is a mistake. Of the
 * file no more than a piece is ever in memory, and one without an end is given up.
 * @throws {UsageError} when the file cannot be read.
 */
export async function eachLine(path: string, mistakes: Mistakes, take: (line: string, number: number) => void) {
  let number = 0;
  let rest = '';
  let unended = 0;
  const end = (line: string) => {
    if (++number > MAX_LINES) throw new UsageError(`${path} has more than ${MAX_LINES} lines`);
    if (line.length > MAX_LINE) return mistakes.add(number, 'is longer than 4 KiB');
    const text = line.trim();
    if (text !== '') take(text, number);
  };
  for await (const piece of piecesOf(path)) {
    const lines = (rest + piece).split('\n');
    unended = lines.length === 1 ? unended + piece.length : 0;
    if (unended > MAX_UNENDED) throw new UsageError(`${path} is no text: line ${number + 1} does not end within 1 MiB`);
    // Of a line that is too long already, its beginning tells that.
    rest = lines.pop()!.slice(0, MAX_LINE + 1);
    lines.forEach(end);
    if (mistakes.tooMany) return;
  }
  end(rest);
}

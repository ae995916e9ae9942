import type { LogFn, Logger } from 'pino';

const WINDOW_MS = 60_000;
/** Lines of one kind in a window. */
const MOST_LINES = 20;
/** Kinds in a window; all further ones count as one. */
const MOST_KINDS = 50;
/** pino's number of `warn`. */
const WARN = 40;

/** What differs between lines of one kind: mediasoup's ids, and all other numbers. */
const VARIABLE = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+/gi;
const LONGEST_KIND = 120;

/**
 * Bounds the warnings and errors of a log, because clients cause some of them as often as they like, mediasoup's above all.
 * How many of each kind were left out is told at the end of the minute.
 */
export class LineLimit {
  readonly #tell: (leftOut: Record<string, number>) => void;
  readonly #counts = new Map<string, number>();
  #endsAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (leftOut: Record<string, number>) => void) {
    this.#tell = tell;
  }

  /** pino's hook of that name, for a logger and all its children. */
  get logMethod() {
    const takes = (args: Parameters<LogFn>) => this.#takes(kindOf(args));
    return function (this: Logger, args: Parameters<LogFn>, method: LogFn, level: number): void {
      if (level < WARN || takes(args)) method.apply(this, args);
    };
  }

  #takes(kind: string): boolean {
    const now = performance.now();
    if (now >= this.#endsAt) this.#begin(now);
    const known = this.#counts.has(kind) || this.#counts.size < MOST_KINDS ? kind : 'others';
    const count = (this.#counts.get(known) ?? 0) + 1;
    this.#counts.set(known, count);
    if (count <= MOST_LINES) return true;
    // Nothing waits for it: a process that ends leaves the last minute's count untold.
    this.#timer ??= setTimeout(() => this.#begin(performance.now()), this.#endsAt - now).unref();
    return false;
  }

  #begin(now: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const over = [...this.#counts].filter(([, count]) => count > MOST_LINES);
    this.#counts.clear();
    this.#endsAt = now + WINDOW_MS;
    if (over.length > 0) this.#tell(Object.fromEntries(over.map(([kind, count]) => [kind, count - MOST_LINES])));
  }
}

const kindOf = ([first, second]: Parameters<LogFn>): string => {
  const text: unknown = typeof first === 'string' ? first : (second ?? (first as Partial<Error> | undefined)?.message);
  return String(text).slice(0, LONGEST_KIND).replaceAll(VARIABLE, '#');
};

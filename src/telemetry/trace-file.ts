import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Logger } from 'pino';

/** Lines of this long go out in one write. */
const COLLECT_MS = 100;
const RETRY_MS = 1000;
/** Lines that wait while the disk is slow or full; past them the newest are dropped. About 2 MB. */
const MAX_WAITING = 10_000;
const WARN_EVERY_MS = 60_000;
const DRAIN_MS = 500;

export interface TraceFileOptions {
  log: Pick<Logger, 'warn'>;
  losses: {
    /** So many lines will never be in the file. */
    traceDropped(lines: number): void;
  };
}

/** Appends lines to a file, in order and whole, so that whoever has a line never waits for the disk. */
export class TraceFile {
  readonly #path: string;
  readonly #log: TraceFileOptions['log'];
  readonly #losses: TraceFileOptions['losses'];
  #file: FileHandle;
  /** What the next line written begins with. */
  #lead: string;
  #waiting: string[] = [];
  /** What is being written: a line that a full disk cut is written to its end before any other. */
  #batch = { lines: 0, rest: Buffer.alloc(0) };
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #reopening = false;
  #closed = false;
  #warnedAt = Number.NEGATIVE_INFINITY;

  /** Makes the file, for its owner alone, or appends to the one that is there; rejects with a sentence when it cannot. */
  static async open(path: string, options: TraceFileOptions): Promise<TraceFile> {
    try {
      return new TraceFile(path, await openForAppending(path), options);
    } catch (error) {
      throw new Error(`trace must be the path of a file that can be written (${codeOf(error)})`, { cause: error });
    }
  }

  private constructor(path: string, { file, lead }: Opened, { log, losses }: TraceFileOptions) {
    this.#path = path;
    this.#file = file;
    this.#lead = lead;
    this.#log = log;
    this.#losses = losses;
  }

  /** Takes a line with its end. Never waits and never throws. */
  append(line: string): void {
    if (this.#closed || this.#waiting.length >= MAX_WAITING) return this.#dropped(1);
    this.#waiting.push(line);
    this.#writeIn(COLLECT_MS);
  }

  /** Goes on in a new file of the same path, once what was begun is written: the old one was moved away. */
  reopen(): void {
    this.#reopening = true;
    this.#writeIn(0);
  }

  /** Writes what is left, for half a second at most. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const cancel = Promise.withResolvers<void>();
    const timer = setTimeout(cancel.resolve, DRAIN_MS);
    await Promise.race([this.#drain(), cancel.promise]);
    clearTimeout(timer);
    const lost = this.#batch.lines + this.#waiting.length;
    if (lost > 0) this.#dropped(lost);
    // Waits for a write that hangs; nobody waits for that.
    const closed = this.#file.close().catch((error: unknown) => this.#warn(`it cannot be closed: ${codeOf(error)}`));
    if (!this.#writing) await closed;
  }

  async #drain(): Promise<void> {
    await this.#writing;
    if (this.#batch.lines + this.#waiting.length > 0) await this.#write();
  }

  /** One write at a time, and one timer for the next. */
  #writeIn(ms: number): void {
    if (this.#timer || this.#writing || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#write();
    }, ms);
  }

  #write(): Promise<void> {
    this.#writing = this.#writeAll().then(
      () => this.#written(),
      (error: unknown) => {
        // A pipe that is full for now.
        if (codeOf(error) === 'EAGAIN') return this.#written();
        this.#warn(`it cannot be written (${codeOf(error)}); ${this.#waiting.length + this.#batch.lines} lines wait`);
        this.#written(RETRY_MS);
      },
    );
    return this.#writing;
  }

  #written(pauseMs = COLLECT_MS): void {
    this.#writing = undefined;
    if (this.#batch.lines + this.#waiting.length > 0 || this.#reopening) this.#writeIn(pauseMs);
  }

  async #writeAll(): Promise<void> {
    if (this.#batch.lines === 0) {
      if (this.#reopening) await this.#openAgain();
      if (this.#waiting.length === 0) return;
      this.#batch = { lines: this.#waiting.length, rest: Buffer.from(this.#lead + this.#waiting.join('')) };
      this.#waiting = [];
      this.#lead = '';
    }
    while (this.#batch.rest.length > 0) {
      const { bytesWritten } = await this.#file.write(this.#batch.rest);
      this.#batch.rest = this.#batch.rest.subarray(bytesWritten);
    }
    this.#batch.lines = 0;
  }

  async #openAgain(): Promise<void> {
    this.#reopening = false;
    const old = this.#file;
    try {
      ({ file: this.#file, lead: this.#lead } = await openForAppending(this.#path));
    } catch (error) {
      return this.#warn(`it cannot be opened again (${codeOf(error)}); the old file is kept`);
    }
    await old.close();
  }

  #dropped(lines: number): void {
    this.#losses.traceDropped(lines);
    this.#warn('lines are dropped');
  }

  /** At most once a minute: a disk that is full fails with every write. */
  #warn(what: string): void {
    if (performance.now() - this.#warnedAt < WARN_EVERY_MS) return;
    this.#warnedAt = performance.now();
    this.#log.warn({ trace: this.#path }, `the trace: ${what}`);
  }
}

interface Opened {
  file: FileHandle;
  lead: string;
}

async function openForAppending(path: string): Promise<Opened> {
  const lead = (await endsInMidLine(path)) ? '\n' : '';
  return { file: await open(path, APPEND, 0o600), lead };
}

/** Never waiting: a pipe that nobody reads would keep a thread, and with it the process, for good. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

/** Whether the last line has no end: a process was killed while it wrote it. Of a file that it may not read, nobody knows. */
async function endsInMidLine(path: string): Promise<boolean> {
  const there = await stat(path).catch(() => undefined);
  if (!there?.isFile() || there.size === 0) return false;
  const file = await open(path).catch(() => undefined);
  const last = await file?.read({ buffer: Buffer.alloc(1), position: there.size - 1 }).finally(() => file.close());
  return last?.buffer.toString() !== '\n';
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';

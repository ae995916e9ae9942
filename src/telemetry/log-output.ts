import { write, writeSync } from 'node:fs';

/** Lines that wait while their reader is slow, in characters; past them the newest are dropped. */
const MAX_WAITING = 1024 * 1024;
/** A pipe, a socket or a terminal takes no more for now. */
const FULL_RETRY_MS = 20;
/** The disk is full, the reader is gone. */
const ERROR_RETRY_MS = 1000;
const CLOSE_MS = 500;

const NEWLINE = 10;

/**
 * Standard output, made so that a write never waits. Pipes and sockets are so once Node has opened them as a stream;
 * a terminal is not, because Node wants what a program prints last to be seen.
 */
export function standardOutput(): number {
  for (const stream of [process.stdout, process.stderr]) {
    const { _handle: handle } = stream as { _handle?: { setBlocking?(blocking: boolean): void } };
    if (stream.isTTY) handle?.setBlocking?.(false);
  }
  return 1;
}

/**
 * Writes lines to a descriptor, in order and whole, so that whoever has a line never waits: pino by itself writes
 * synchronously, and again and again while that fails. What cannot be written is dropped and counted.
 */
export class LogOutput {
  readonly #fd: number;
  #waiting: string[] = [];
  #waitingLength = 0;
  /** What is being written. */
  #rest = Buffer.alloc(0);
  #state: 'idle' | 'due' | 'writing' | 'pausing' = 'idle';
  #idle: (() => void) | undefined;
  #dropped = 0;
  #told = 0;
  /** Called when lines are written again, with the number of those that never were. */
  onResumed: (dropped: number) => void = () => {};

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Lines that were dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes a line with its end. Never waits and never throws. */
  write(line: string): void {
    if (this.#waitingLength > MAX_WAITING) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingLength += line.length;
    if (this.#state !== 'idle') return;
    this.#state = 'due';
    // What is told in one turn of the event loop leaves in one write.
    setImmediate(() => this.#next());
  }

  /** Waits until all is written, for half a second at most. */
  async close(): Promise<void> {
    if (this.#state === 'idle') return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idle = resolve;
    const timer = setTimeout(resolve, CLOSE_MS);
    await promise;
    clearTimeout(timer);
  }

  /** Before a process ends without waiting: what is taken at once is written. */
  flushSync(): void {
    const left = Buffer.from(this.#take());
    const writing = this.#state === 'writing';
    const all = writing ? left : Buffer.concat([this.#rest, left]);
    let written = 0;
    try {
      written = writeSync(this.#fd, all);
    } catch {
      // There is nobody to tell.
    }
    if (!writing) this.#rest = all.subarray(written);
  }

  #take(): string {
    const text = this.#waiting.join('');
    this.#waiting = [];
    this.#waitingLength = 0;
    return text;
  }

  #next(): void {
    if (this.#rest.length === 0) this.#rest = Buffer.from(this.#take());
    if (this.#rest.length === 0) {
      this.#state = 'idle';
      this.#idle?.();
      return;
    }
    this.#state = 'writing';
    write(this.#fd, this.#rest, (error, written) => (error ? this.#failed(error) : this.#wrote(written)));
  }

  #wrote(bytes: number): void {
    this.#rest = this.#rest.subarray(bytes);
    const missing = this.#dropped - this.#told;
    if (missing > 0 && this.#rest.length === 0) {
      this.#told = this.#dropped;
      this.#tellFirst(missing);
    }
    this.#next();
  }

  /** Before what waits, which may fill the disk again. */
  #tellFirst(missing: number): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.onResumed(missing);
    this.#waiting = this.#waiting.concat(waiting);
  }

  #failed({ code }: NodeJS.ErrnoException): void {
    const full = code === 'EAGAIN';
    if (!full) this.#drop();
    this.#state = 'pausing';
    setTimeout(() => this.#next(), full ? FULL_RETRY_MS : ERROR_RETRY_MS).unref();
  }

  /** All but one line, which is tried again: a part of it may be written already. */
  #drop(): void {
    const end = this.#rest.indexOf(NEWLINE) + 1;
    this.#dropped += this.#rest.subarray(end).filter((byte) => byte === NEWLINE).length + this.#waiting.length;
    this.#rest = this.#rest.subarray(0, end);
    this.#take();
  }
}

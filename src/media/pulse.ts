import type { Worker } from 'mediasoup/types';
import type { Logger } from 'pino';
import { killProcess } from './kill.ts';

/** How often a worker is asked whether it is there. */
const ROUND_MS = 500;
/** Rounds without an answer after which a worker gets no more calls: a busy one answers within one. */
const SILENT_ROUNDS = 5;
/** Rounds after which it is killed, and its calls end: their media has stood still for as long. */
const HOPELESS_ROUNDS = 16;

/**
 * Whether a worker answers: one that is stopped or hangs neither dies nor takes a call. One small question is out at a
 * time. Time is counted in rounds and not by a clock, so that a process that was stopped itself blames nobody for it.
 */
export class Pulse {
  readonly #worker: Worker;
  readonly #log: Pick<Logger, 'warn' | 'error'>;
  readonly #timer: NodeJS.Timeout;
  #asked = false;
  #rounds = 0;

  /** Ends with the worker. */
  constructor(worker: Worker, log: Pick<Logger, 'warn' | 'error'>) {
    this.#worker = worker;
    this.#log = log;
    this.#timer = setInterval(() => this.#round(), ROUND_MS);
    worker.observer.once('close', () => clearInterval(this.#timer));
  }

  get silent(): boolean {
    return this.#rounds >= SILENT_ROUNDS;
  }

  #round(): void {
    if (!this.#asked) return this.#ask();
    this.#rounds++;
    const { pid } = this.#worker;
    if (this.#rounds === SILENT_ROUNDS)
      this.#log.warn({ pid }, 'a media worker does not answer; it gets no more calls');
    if (this.#rounds === HOPELESS_ROUNDS) {
      this.#log.error({ pid }, 'a media worker has not answered for too long and is killed');
      killProcess(pid);
    }
  }

  #ask(): void {
    this.#asked = true;
    // A worker that is gone is told elsewhere.
    this.#worker.getResourceUsage().then(
      () => this.#answered(),
      () => {},
    );
  }

  #answered(): void {
    if (this.silent) this.#log.warn({ pid: this.#worker.pid }, 'the media worker answers again');
    this.#asked = false;
    this.#rounds = 0;
  }
}

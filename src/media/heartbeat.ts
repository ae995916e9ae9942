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
 * Whether a worker answers: one that is stopped or hangs does not die, and must get no call. One small request is outstanding
 * at a time. Time is counted in rounds, not by a clock, so that after this process itself was stopped no worker seems silent.
 */
export class Heartbeat {
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
    // The pool logs the death of a worker.
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

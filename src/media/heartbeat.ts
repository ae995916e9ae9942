import type { Worker, WorkerResourceUsage } from 'mediasoup/types';
import type { Logger } from 'pino';
import { killProcess } from './kill.ts';

/** How often a worker is asked whether it is there. */
const ROUND_MS = 500;
/** Rounds without an answer after which a worker gets no more calls: a busy one answers within one. */
const SILENT_ROUNDS = 5;
/** Rounds after which it is killed, and its calls end: their media has stood still for as long. */
const HOPELESS_ROUNDS = 16;

const MEAN_OF_ROUNDS = 4;

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
  #used: { ms: number; at: number } | undefined;
  #cpu = 0;

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

  /** How much of a core the worker took lately, 1 for all of it. */
  get cpu(): number {
    return this.#cpu;
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
      (usage) => this.#answered(usage),
      () => {},
    );
  }

  #answered({ ru_utime, ru_stime }: WorkerResourceUsage): void {
    this.#measure(ru_utime + ru_stime, performance.now());
    if (this.silent) this.#log.warn({ pid: this.#worker.pid }, 'the media worker answers again');
    this.#asked = false;
    this.#rounds = 0;
  }
  /** The mean of the last few rounds: one alone swings too much to choose by. */
  #measure(ms: number, at: number): void {
    if (this.#used !== undefined && at > this.#used.at) {
      const share = (ms - this.#used.ms) / (at - this.#used.at);
      this.#cpu += (share - this.#cpu) / MEAN_OF_ROUNDS;
    }
    this.#used = { ms, at };
  }
}

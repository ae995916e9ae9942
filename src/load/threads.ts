import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Outcome, Stage } from './outcome.ts';
import type { Task } from './runner.ts';

/** What happened on a thread since it last told. */
export interface News {
  /** Of sessions that are over. */
  outcomes: readonly Outcome[];
  /** Stages that sessions reached, and after how many milliseconds. */
  stages: readonly (readonly [Stage, number])[];
  /** Sessions under way. */
  running: number;
}

export type ToThread = { type: 'start'; startNs: bigint } | { type: 'stop' };
export type FromThread = { type: 'ready' } | ({ type: 'progress' } & News) | { type: 'done' };

/** The run begins this long after all threads are ready, so that each hears of it before. */
const LEAD_NS = 20_000_000n;

/** Sockets that are still closing when a thread is done get this long. */
const EXIT_WITHIN_MS = 2000;

// The worker's file is TypeScript when this one is, and JavaScript in the package.
const WORKER = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);

/** The threads of one run, each with its share of the arrivals and all on one clock. */
export class Threads {
  readonly #workers: readonly Worker[];
  readonly #running: number[];
  readonly #told: (news: News) => void;
  #startNs = 0n;

  /** Starts the threads, ready to run; `told` hears what happens. */
  static async start(
    task: Omit<Task, 'thread' | 'threads'>,
    threads: number,
    told: (news: News) => void,
  ): Promise<Threads> {
    const workers = Array.from({ length: threads }, (_, thread) => {
      const workerData: Task = { ...task, thread, threads };
      return new Worker(WORKER, { workerData });
    });
    await Promise.all(workers.map((worker) => once(worker, 'message'))).catch(async (error: unknown) => {
      await Promise.all(workers.map((worker) => worker.terminate()));
      throw error;
    });
    return new Threads(workers, told);
  }

  private constructor(workers: readonly Worker[], told: (news: News) => void) {
    this.#workers = workers;
    this.#running = workers.map(() => 0);
    this.#told = told;
  }

  /** Sessions under way. */
  get running(): number {
    return this.#running.reduce((sum, running) => sum + running, 0);
  }

  /** Milliseconds after the start of the run. */
  get elapsedMs(): number {
    return Number(process.hrtime.bigint() - this.#startNs) / 1e6;
  }

  /** Begins the run; resolves when all sessions are over. Rejects when a thread breaks. */
  async run(): Promise<void> {
    this.#startNs = process.hrtime.bigint() + LEAD_NS;
    const start: ToThread = { type: 'start', startNs: this.#startNs };
    await Promise.all(this.#workers.map((worker, thread) => this.#follow(worker, thread, start)));
  }

  /** Ends all sessions properly; `run` resolves when they are over. */
  stop(): void {
    for (const worker of this.#workers) worker.postMessage({ type: 'stop' } satisfies ToThread);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map(exit));
  }

  #follow(worker: Worker, thread: number, start: ToThread): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    worker.on('error', reject);
    worker.on('message', (message: FromThread) => {
      if (message.type === 'done') resolve();
      if (message.type !== 'progress') return;
      this.#running[thread] = message.running;
      this.#told(message);
    });
    worker.postMessage(start);
    return promise;
  }
}

async function exit(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return;
  const timer = setTimeout(() => void worker.terminate(), EXIT_WITHIN_MS);
  await new Promise((resolve) => worker.once('exit', resolve));
  clearTimeout(timer);
}

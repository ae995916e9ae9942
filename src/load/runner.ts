import { setImmediate as nextTurn } from 'node:timers/promises';
import { Backend } from './backend.ts';
import { Caller, type CallerDeps, type RunOptions } from './caller.ts';
import type { Outcome } from './outcome.ts';
import { seededRandom } from './random.ts';
import { type Schedule, shareOf } from './schedule.ts';
import { pause } from './waiting.ts';

/** What one thread of the tester does. Plain data, so that it can be handed to a worker. */
export interface Task {
  schedule: Schedule;
  options: RunOptions;
  apiKey: string;
  seed: number;
  thread: number;
  threads: number;
}

export interface RunnerListener {
  /** A session is over. */
  over(outcome: Outcome): void;
  reached: CallerDeps['reached'];
}

/** So many are begun in one go when they are overdue; then the answers of the earlier ones are read. */
const OVERDUE_AT_ONCE = 20;
/** After an interrupt, sessions that are still not over are left behind. */
const STOP_WITHIN_MS = 10_000;

/** Begins the sessions of one thread when they are due, however the earlier ones fare. */
export class Runner {
  readonly #task: Task;
  readonly #deps: Omit<CallerDeps, 'random'>;
  readonly #listener: RunnerListener;
  readonly #running = new Map<Caller, Promise<void>>();
  readonly #stopped = Promise.withResolvers<void>();
  #stopping = false;
  #patience: NodeJS.Timeout | undefined;

  /** `now` is milliseconds after the start of the run. */
  constructor(task: Task, now: () => number, listener: RunnerListener) {
    this.#task = task;
    this.#listener = listener;
    const backends = task.options.urls.map((url) => new Backend(url, task.apiKey));
    this.#deps = { options: task.options, backends, now, reached: listener.reached };
  }

  get running(): number {
    return this.#running.size;
  }

  /** Resolves when all sessions are over and everything is closed. */
  async run(): Promise<void> {
    let overdue = 0;
    for (const [index, arrival] of shareOf(this.#task.schedule, this.#task.thread, this.#task.threads)) {
      const wait = arrival.atMs - this.#deps.now();
      if (wait > 0) await pause(wait, this.#stopped.promise);
      else if (++overdue % OVERDUE_AT_ONCE === 0) await nextTurn();
      if (this.#stopping) break;
      const random = seededRandom(this.#task.seed, index);
      this.#begin(new Caller(index, arrival, { ...this.#deps, random }));
    }
    while (this.#running.size > 0) await Promise.all(this.#running.values());
    clearTimeout(this.#patience);
    for (const backend of this.#deps.backends) backend.close();
  }

  /** Begins nothing more, and ends what runs: properly at first, at once after a while. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#stopped.resolve();
    for (const caller of this.#running.keys()) caller.stop();
    this.#patience = setTimeout(() => {
      for (const caller of this.#running.keys()) caller.abort();
    }, STOP_WITHIN_MS);
  }

  #begin(caller: Caller): void {
    const over = caller.run().then((outcome) => {
      this.#running.delete(caller);
      this.#listener.over(outcome);
    });
    this.#running.set(caller, over);
  }
}

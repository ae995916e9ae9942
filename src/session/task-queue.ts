import { setImmediate as nextTurn } from 'node:timers/promises';

/** Tasks of one event-loop turn: an end or its storing, with what follows from it, takes 0.1 to 0.4 ms. */
const PER_TURN = 25;

/**
 * Runs tasks in order: the first ones at once, the rest in later turns of the event loop, a bounded number in each. So
 * thousands of sessions that end together do not block everything else.
 */
export class TaskQueue {
  readonly #waiting: (() => void)[] = [];
  #left = PER_TURN;
  #turning = false;
  #running = false;

  run(task: () => void): void {
    this.#waiting.push(task);
    // A task that adds another one finishes first.
    if (!this.#running) this.#go();
  }

  /** Resolves when no task waits. */
  async idle(): Promise<void> {
    while (this.#waiting.length > 0) await nextTurn();
  }

  #go(): void {
    if (!this.#turning) setImmediate(() => this.#turn());
    this.#turning = true;
    this.#running = true;
    try {
      while (this.#left > 0 && this.#waiting.length > 0) {
        this.#left -= 1;
        this.#waiting.shift()?.();
      }
    } finally {
      this.#running = false;
    }
  }

  #turn(): void {
    this.#left = PER_TURN;
    this.#turning = false;
    if (this.#waiting.length > 0) this.#go();
  }
}

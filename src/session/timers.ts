import { deadline } from '../shared/deadline.ts';

/** Named timers, each running once at most. */
export class Timers<Name extends string> {
  /** How each that runs is stopped. */
  readonly #running = new Map<Name, () => void>();
  readonly #fire: (name: Name) => void;

  constructor(fire: (name: Name) => void) {
    this.#fire = fire;
  }

  /** Runs it anew if it is running. */
  start(name: Name, ms: number): void {
    this.stop(name);
    const fire = () => {
      this.#running.delete(name);
      this.#fire(name);
    };
    this.#running.set(name, deadline(ms, fire));
  }

  stop(name: Name): void {
    this.#running.get(name)?.();
    this.#running.delete(name);
  }
}

import { AsyncLocalStorage } from 'node:async_hooks';

/** Whose code runs: a process that can be stopped and killed. */
export interface Owner {
  state: 'up' | 'frozen' | 'dead';
}

interface Due {
  at: number;
  order: number;
  run: () => void;
  owner: Owner | undefined;
  /** Runs again after so many milliseconds. */
  every?: number;
  off?: boolean;
}

const EPOCH = Date.UTC(2030, 0, 1);
const KEPT = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'] as const;

/** Virtual time: everything that waits, waits here, and is run one thing after the other. A frozen owner's is kept for it, a dead one's dropped. */
export class VirtualClock {
  now = 0;
  readonly #owner = new AsyncLocalStorage<Owner | undefined>();
  readonly #kept = new Map<Owner, Due[]>();
  #due: Due[] = [];
  #order = 0;

  /** Puts it in the place of the global timers and clocks; answers what takes it away. */
  install(): () => void {
    const real = Object.fromEntries(KEPT.map((name) => [name, globalThis[name]]));
    const [dateNow, performanceNow] = [Date.now, performance.now];
    const off = (due?: Due) => {
      if (due) due.off = true;
    };
    const add = (ms: number, run: () => void, every?: number) => this.#add(ms, run, this.#owner.getStore(), every);
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms = 0) => add(Math.max(1, ms), run),
      setInterval: (run: () => void, ms = 0) => add(Math.max(1, ms), run, Math.max(1, ms)),
      setImmediate: (run: () => void) => add(0, run),
      clearTimeout: off,
      clearInterval: off,
      clearImmediate: off,
    });
    Date.now = () => EPOCH + Math.floor(this.now);
    performance.now = () => this.now;
    return () => {
      Object.assign(globalThis, real);
      Date.now = dateNow;
      performance.now = performanceNow;
    };
  }

  /** Runs something as code of this owner, and whatever follows from it. */
  as<T>(owner: Owner | undefined, run: () => T): T {
    return this.#owner.run(owner, run);
  }

  /** Runs something later, as code of this owner. */
  after(ms: number, owner: Owner | undefined, run: () => void): void {
    this.#add(ms, run, owner);
  }

  freeze(owner: Owner): void {
    if (owner.state === 'up') owner.state = 'frozen';
  }

  thaw(owner: Owner): void {
    if (owner.state !== 'frozen') return;
    owner.state = 'up';
    for (const due of this.#kept.get(owner) ?? []) this.#push({ ...due, at: this.now, order: this.#order++ }, due);
    this.#kept.delete(owner);
  }

  kill(owner: Owner): void {
    owner.state = 'dead';
    this.#kept.delete(owner);
    this.#due = this.#due.filter((due) => due.owner !== owner);
  }

  /** How much still waits. */
  get waiting(): number {
    return this.#due.filter(({ off }) => !off).length;
  }

  /** Lets so many milliseconds pass. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    for (let due = this.#due[0]; due !== undefined && due.at <= until; due = this.#due[0]) {
      this.#due.shift();
      this.now = Math.max(this.now, due.at);
      if (due.off) continue;
      this.#run(due);
      // All that is not a timer runs to its end.
      await new Promise((resolve) => realImmediate(resolve));
    }
    this.now = until;
  }

  #run(due: Due): void {
    const { owner, every } = due;
    if (owner?.state === 'dead') return;
    if (owner?.state === 'frozen') {
      this.#kept.set(owner, [...(this.#kept.get(owner) ?? []), due]);
      return;
    }
    if (every !== undefined) {
      due.at = this.now + every;
      due.order = this.#order++;
      this.#insert(due);
    }
    this.as(owner, due.run);
  }

  /** A timer that was kept can still be called off. */
  #push(again: Due, kept: Due): void {
    Object.assign(kept, { at: again.at, order: again.order });
    this.#insert(kept);
  }

  #add(ms: number, run: () => void, owner: Owner | undefined, every?: number): Due & { unref(): unknown } {
    const due = { at: this.now + ms, order: this.#order++, run, owner, unref: () => due, ref: () => due } as Due & {
      unref(): unknown;
    };
    if (every !== undefined) due.every = every;
    this.#insert(due);
    return due;
  }

  #insert(due: Due): void {
    let [low, high] = [0, this.#due.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#due[middle]!;
      if (other.at < due.at || (other.at === due.at && other.order < due.order)) low = middle + 1;
      else high = middle;
    }
    this.#due.splice(low, 0, due);
  }
}

const realImmediate = globalThis.setImmediate;

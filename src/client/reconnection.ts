import { now } from './now.ts';

/** The first try is made at once; the waits before the later ones, in milliseconds, each made shorter by up to a half. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 4000;

/** How long one try may take to be answered, in milliseconds. */
const TRY_MS = 6000;

/** Tried on after the server has waited for its client, in milliseconds: neither counts from the same moment. */
const BEYOND_GRACE_MS = 30_000;

/** A connection that lasted as long makes the next try the first one again; one that breaks at once does not. */
const STEADY_MS = 5000;

export interface ReconnectionListener {
  attempt(): void;
  /** Tried for so many milliseconds in vain. */
  gaveUp(ms: number): void;
}

/** When the client tries to come back to its session, and for how long. */
export class Reconnection {
  readonly #listener: ReconnectionListener;
  #tries = 0;
  #endedAt = Number.NEGATIVE_INFINITY;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(listener: ReconnectionListener) {
    this.#listener = listener;
  }

  get running(): boolean {
    return this.#patience !== undefined;
  }

  begin(graceMs: number): void {
    if (this.running) return;
    if (now() - this.#endedAt > STEADY_MS) this.#tries = 0;
    const patienceMs = graceMs + BEYOND_GRACE_MS;
    this.#patience = setTimeout(() => this.#listener.gaveUp(patienceMs), patienceMs);
    this.failed();
  }

  /** The try was in vain: the next one comes in its time. */
  failed(): void {
    if (!this.running) return;
    clearTimeout(this.#timer);
    const wait = waitBefore(this.#tries);
    if (wait === 0) this.#try();
    else this.#timer = setTimeout(() => this.#try(), wait);
  }

  /** There is a network again: tries at once, and as if for the first time. */
  now(): void {
    if (!this.running) return;
    this.#tries = 0;
    this.failed();
  }

  end(): void {
    if (!this.running) return;
    clearTimeout(this.#timer);
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#endedAt = now();
  }

  #try(): void {
    this.#tries += 1;
    this.#timer = setTimeout(() => this.failed(), TRY_MS);
    this.#listener.attempt();
  }
}

/** Spread by chance, so that clients who lost the same server do not come back in step. */
function waitBefore(tries: number): number {
  if (tries === 0) return 0;
  return Math.min(FIRST_WAIT_MS * 2 ** (tries - 1), LONGEST_WAIT_MS) * (1 - Math.random() / 2);
}

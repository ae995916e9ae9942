/** How long what follows a change waits for it to be stored. */
const WAIT_MS = 200;

/** Stores what has changed of a session, now; what could not be stored goes with the next renewal. */
export class Saving {
  readonly #store: () => Promise<void>;
  #running: Promise<void> | undefined;

  constructor(store: () => Promise<void>) {
    this.#store = store;
  }

  save(): void {
    // The store tells of an outage itself.
    const running = this.#store().catch(() => undefined);
    this.#running = running;
    void running.then(() => {
      if (this.#running === running) this.#running = undefined;
    });
  }

  /** Resolves once the newest change is stored, cannot be, or has taken too long. */
  async settled(): Promise<void> {
    if (this.#running === undefined) return;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, WAIT_MS);
    await Promise.race([this.#running, late.promise]);
    clearTimeout(timer);
  }
}

/** How often it is looked, in milliseconds: longer than the pauses of a voice that is silent (Opus DTX, 400 ms). */
const LOOK_EVERY_MS = 500;

export interface MediaFlowListener {
  /** Bytes of media that have come in; undefined where none is expected, or nobody counts. */
  received(): Promise<number | undefined>;
  changed(flows: boolean): void;
}

/** Tells whether media comes in, while somebody wants to know. */
export class MediaFlow {
  readonly #listener: MediaFlowListener;
  #timer: ReturnType<typeof setInterval> | undefined;
  #flows: boolean | undefined;

  constructor(listener: MediaFlowListener) {
    this.#listener = listener;
  }

  /** Tells `flows` at once, which is the best guess, and every change from then on. */
  watch(flows: boolean): void {
    if (this.#timer !== undefined) return;
    let before: number | undefined;
    const look = async () => {
      const received = await this.#listener.received().catch(() => undefined);
      if (received !== undefined && before !== undefined) this.#tell(received > before);
      before = received;
    };
    this.#timer = setInterval(look, LOOK_EVERY_MS);
    this.#tell(flows);
    void look();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#flows = undefined;
  }

  #tell(flows: boolean): void {
    if (this.#timer === undefined || flows === this.#flows) return;
    this.#flows = flows;
    this.#listener.changed(flows);
  }
}

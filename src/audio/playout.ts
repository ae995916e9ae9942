import type { Clock } from './clock.ts';

const FRAME_MS = 20;
/** Whoever is this late (a process that was stopped) goes on from now, and hurries nothing after. */
const MAX_LATE_MS = 200;
const MAX_MARKS = 1000;

export interface PlayoutOptions {
  clock: Clock;
  /** Bytes of 20 ms, and the byte of which silence is made. */
  frameBytes: number;
  silence: number;
  /** The most that waits, in milliseconds. */
  maxMs: number;
  /**
   * 20 ms, when they are due. `at` is their place on the clock of the listener, in milliseconds since it began; `first` says that
   * nothing was played right before.
   */
  play(frame: Buffer, at: number, first: boolean): void;
  /** All that was added before the mark has been played. */
  marked(name: string): void;
}

type Queued = { audio: Buffer } | { mark: string };

/** What is to be played, paced by a monotonic clock. It waits while it is held. */
export class Playout {
  readonly #options: PlayoutOptions;
  readonly #maxBytes: number;
  #queue: Queued[] = [];
  #bytes = 0;
  #marks = 0;
  /** What the frame that is being played has reached. */
  #reached: string[] = [];
  /** When the listener's clock began. */
  #origin: number | undefined;
  /** When the next frame is due; undefined when nothing is played. */
  #due: number | undefined;
  #first = true;
  #held = true;
  #cancel = (): void => {};

  constructor(options: PlayoutOptions) {
    this.#options = options;
    this.#maxBytes = (options.maxMs / FRAME_MS) * options.frameBytes;
  }

  /** Takes what fits; false when that is not all. */
  add(audio: Buffer): boolean {
    const taken = audio.subarray(0, Math.max(0, this.#maxBytes - this.#bytes));
    if (taken.length > 0) this.#queue.push({ audio: taken });
    this.#bytes += taken.length;
    this.#start();
    return taken.length === audio.length;
  }

  /** False when there are too many already. */
  mark(name: string): boolean {
    if (this.#marks >= MAX_MARKS) return false;
    this.#marks++;
    this.#queue.push({ mark: name });
    this.#start();
    return true;
  }

  /** Drops what waits; the marks in it are reached at once. */
  clear(): void {
    const names = [...this.#reached, ...this.#queue.flatMap((item) => ('mark' in item ? item.mark : []))];
    this.discard();
    for (const name of names) this.#options.marked(name);
  }

  /** Drops what waits, marks included. */
  discard(): void {
    this.#queue = [];
    this.#reached = [];
    this.#bytes = 0;
    this.#marks = 0;
  }

  /** Nobody listens for now: what waits goes on waiting. */
  hold(): void {
    this.#held = true;
    this.#stop();
  }

  release(): void {
    this.#held = false;
    this.#start();
  }

  #stop(): void {
    this.#cancel();
    this.#due = undefined;
    this.#first = true;
  }

  #start(): void {
    if (this.#held || this.#due !== undefined || this.#queue.length === 0) return;
    this.#due = this.#options.clock.now();
    this.#run();
  }

  /** Plays all that is due. */
  #run(): void {
    const now = this.#options.clock.now();
    if (this.#due !== undefined && now - this.#due > MAX_LATE_MS) {
      this.#due = now;
      this.#first = true;
    }
    while (this.#due !== undefined && this.#due <= now) this.#step(this.#due);
    if (this.#due !== undefined) this.#cancel = this.#options.clock.after(this.#due - now, () => this.#run());
  }

  #step(due: number): void {
    this.#tellReached();
    // A mark may have made somebody hold or clear it.
    if (this.#due === undefined) return;
    if (this.#queue.length === 0) return this.#stop();
    const frame = this.#take();
    if (frame === undefined) return this.#stop();
    this.#origin ??= due;
    this.#due = due + FRAME_MS;
    const first = this.#first;
    this.#first = false;
    this.#options.play(frame, due - this.#origin, first);
  }

  #tellReached(): void {
    while (this.#queue[0] !== undefined && 'mark' in this.#queue[0]) {
      this.#reached.push(this.#queue[0].mark);
      this.#queue.shift();
    }
    const reached = this.#reached;
    this.#reached = [];
    this.#marks -= reached.length;
    for (const name of reached) this.#options.marked(name);
  }

  /** The next 20 ms, the last ones filled up with silence. */
  #take(): Buffer | undefined {
    const { frameBytes, silence } = this.#options;
    const head = this.#queue[0];
    if (head === undefined) return undefined;
    const frame = Buffer.allocUnsafe(frameBytes);
    let filled = 0;
    while (filled < frameBytes && this.#queue[0] !== undefined) {
      const item = this.#queue[0];
      if ('mark' in item) {
        this.#reached.push(item.mark);
        this.#queue.shift();
        continue;
      }
      const copied = item.audio.copy(frame, filled);
      filled += copied;
      if (copied < item.audio.length) item.audio = item.audio.subarray(copied);
      else this.#queue.shift();
    }
    this.#bytes -= filled;
    return frame.fill(silence, filled);
  }
}

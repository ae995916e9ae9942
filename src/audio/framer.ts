/** Cuts audio of any length into frames of one length. */
export class Framer {
  readonly #bytes: number;
  readonly #silence: number;
  readonly #frame: (frame: Buffer) => void;
  #open: Buffer;
  #filled = 0;

  /** `bytes` of a frame; `silence` is the byte of which silence is made. */
  constructor(bytes: number, silence: number, frame: (frame: Buffer) => void) {
    this.#bytes = bytes;
    this.#silence = silence;
    this.#frame = frame;
    this.#open = Buffer.alloc(bytes);
  }

  add(audio: Buffer): void {
    // Most packets are one frame.
    if (this.#filled === 0 && audio.length === this.#bytes) return this.#frame(audio);
    for (let at = 0; at < audio.length; ) {
      const copied = audio.copy(this.#open, this.#filled, at);
      at += copied;
      this.#advance(copied);
    }
  }

  addSilence(bytes: number): void {
    for (let left = bytes; left > 0; ) {
      const filled = Math.min(left, this.#bytes - this.#filled);
      this.#open.fill(this.#silence, this.#filled, this.#filled + filled);
      left -= filled;
      this.#advance(filled);
    }
  }

  #advance(bytes: number): void {
    this.#filled += bytes;
    if (this.#filled < this.#bytes) return;
    const full = this.#open;
    this.#open = Buffer.alloc(this.#bytes);
    this.#filled = 0;
    this.#frame(full);
  }
}

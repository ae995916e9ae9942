const DIGITS = '0123456789*#ABCD';

/** Reads the keys that were pressed out of telephone events (RFC 4733 section 2.3), each once, when it is let go. */
export class TelephoneEvents {
  readonly #pressed: (digit: string) => void;
  /** All packets of an event have the timestamp of its beginning; its last is sent three times. */
  #open: { timestamp: number; digit: string } | undefined;
  #toldTimestamp: number | undefined;

  constructor(pressed: (digit: string) => void) {
    this.#pressed = pressed;
  }

  push(timestamp: number, payload: Buffer): void {
    const digit = DIGITS[payload[0] ?? DIGITS.length];
    if (payload.length < 4 || digit === undefined || timestamp === this.#toldTimestamp) return;
    // Every packet that said that the one before has ended was lost.
    if (this.#open !== undefined && this.#open.timestamp !== timestamp) this.#tell(this.#open);
    const event = { timestamp, digit };
    if ((payload[1]! & 0x80) !== 0) this.#tell(event);
    else this.#open = event;
  }

  #tell({ timestamp, digit }: { timestamp: number; digit: string }): void {
    this.#toldTimestamp = timestamp;
    this.#open = undefined;
    this.#pressed(digit);
  }
}

/** Packets that are later than this many behind the newest cannot be told from repeated ones, and are not counted. */
const WINDOW = 2048;

/** What came in on one SSRC, by sequence number (RFC 3550 appendix A.3). */
export class ReceivedStream {
  readonly #seen = new Uint8Array(WINDOW);
  #lowest = 0;
  #highest = -1;
  #distinct = 0;

  /** The sequence number with the cycles before it: of those that it may mean, the one nearest to the newest packet. */
  extend(sequenceNumber: number): number {
    if (this.#distinct === 0) return sequenceNumber;
    return this.#highest + (((sequenceNumber - this.#highest) << 16) >> 16);
  }

  /** Counts a packet by its extended sequence number; repeated ones do not count. */
  add(extended: number): void {
    if (this.#distinct === 0) {
      this.#lowest = extended;
      this.#highest = extended - 1;
    }
    if (extended > this.#highest) this.#advance(extended);
    else if (extended <= this.#highest - WINDOW) return;
    if (this.#seen[at(extended)] === 1) return;
    this.#seen[at(extended)] = 1;
    this.#distinct++;
    this.#lowest = Math.min(this.#lowest, extended);
  }

  /** Packets between the first and the newest that have not come. */
  get lost(): number {
    return this.#highest - this.#lowest + 1 - this.#distinct;
  }

  #advance(to: number): void {
    if (to - this.#highest >= WINDOW) this.#seen.fill(0);
    else for (let each = this.#highest + 1; each <= to; each++) this.#seen[at(each)] = 0;
    this.#highest = to;
  }
}

const at = (extended: number): number => extended & (WINDOW - 1);

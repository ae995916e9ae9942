import type { RtpPacket } from './rtp.ts';

/** So many packets that came after a missing one are held for it. */
const PATIENCE = 3;
/** When nothing has come for this long, what is missing is silence, in time. Packets that come later than that are dropped. */
const STALL_MS = 200;
const FRAME_MS = 20;
/** A timestamp that is further ahead than the clock explains begins a timeline of its own, and so do packets that are late for that long. */
const JUMP_MS = 1000;

export interface PacketOrderOptions {
  /** Units of the RTP clock in a millisecond. */
  perMs: number;
  /** How much of the RTP clock a payload takes. */
  durationOf(payload: Buffer): number;
  /** The next payload. */
  heard(payload: Buffer): void;
  /** Nothing, for so much of the RTP clock: lost, not sent (DTX), or not there in time. */
  missing(duration: number): void;
}

interface Waiting {
  /** Place in the timeline, in units of the RTP clock since the first packet. */
  at: number;
  sequenceNumber: number;
  payload: Buffer;
}

/**
 * Puts the packets of one stream in order, and says what is missing, so that payloads and gaps together last exactly as long as
 * the sender's clock says. Pure: `now` is monotonic, in milliseconds.
 */
export class PacketOrder {
  readonly #options: PacketOrderOptions;
  /** By their place. */
  #waiting: Waiting[] = [];
  #ssrc: number | undefined;
  /** The place up to which all was handed on. */
  #next = 0;
  /** Negative where nothing is waited for in front of the next packet, whatever its number is. */
  #lastSequenceNumber = -1;
  /** A packet's timestamp and its place, from which others are counted. */
  #reference = { timestamp: 0, at: 0 };
  /** The end of the packet that came last, and when it came. */
  #latest = { end: 0, cameAt: 0 };
  /** Since when all that came was too late. */
  #lateSince: number | undefined;

  constructor(options: PacketOrderOptions) {
    this.#options = options;
  }

  push({ ssrc, sequenceNumber, timestamp, payload }: RtpPacket, now: number): void {
    const duration = this.#options.durationOf(payload);
    if (duration <= 0) return;
    if (ssrc !== this.#ssrc) this.#begin(ssrc, timestamp, now);
    let at = this.#placeOf(timestamp);
    if (this.#jumped(at, now)) {
      this.#begin(ssrc, timestamp, now);
      at = this.#next;
    }
    this.#latest = { end: at + duration, cameAt: now };
    this.#reference = { timestamp, at };
    this.#insert({ at, sequenceNumber, payload });
    this.#deliver();
  }

  /** Fills what did not come in time; returns after how many milliseconds it is to be called again. */
  tick(now: number): number {
    if (this.#ssrc === undefined) return STALL_MS;
    const silentMs = now - this.#latest.cameAt;
    if (silentMs < STALL_MS) return STALL_MS - silentMs;
    this.#flush();
    this.#fillTo(this.#expected(now) - STALL_MS * this.#options.perMs);
    this.#lastSequenceNumber = -1;
    return FRAME_MS;
  }

  /** A new timeline goes on where time has got to. */
  #begin(ssrc: number, timestamp: number, now: number): void {
    this.#flush();
    if (this.#ssrc !== undefined) this.#fillTo(this.#expected(now) - FRAME_MS * this.#options.perMs);
    this.#ssrc = ssrc;
    this.#reference = { timestamp, at: this.#next };
    this.#lateSince = undefined;
    this.#latest = { end: this.#next, cameAt: now };
    this.#lastSequenceNumber = -1;
  }

  /** The timestamp has 32 bits and turns over. */
  #placeOf(timestamp: number): number {
    return this.#reference.at + ((timestamp - this.#reference.timestamp) | 0);
  }

  #jumped(at: number, now: number): boolean {
    const jump = JUMP_MS * this.#options.perMs;
    if (at > this.#expected(now) + jump) return true;
    if (at >= this.#next) {
      this.#lateSince = undefined;
      return false;
    }
    this.#lateSince ??= now;
    return now - this.#lateSince > JUMP_MS;
  }

  #expected(now: number): number {
    return this.#latest.end + Math.round((now - this.#latest.cameAt) * this.#options.perMs);
  }

  #insert(packet: Waiting): void {
    if (packet.at < this.#next || this.#waiting.some(({ at }) => at === packet.at)) return;
    const later = this.#waiting.findIndex(({ at }) => at > packet.at);
    this.#waiting.splice(later < 0 ? this.#waiting.length : later, 0, packet);
  }

  #deliver(): void {
    while (this.#waiting[0] !== undefined && this.#isDue(this.#waiting[0])) this.#handOn();
  }

  /** A gap before the packet that was sent right after the last one is a pause of the sender. */
  #isDue({ at, sequenceNumber }: Waiting): boolean {
    const follows = this.#lastSequenceNumber < 0 || sequenceNumber === ((this.#lastSequenceNumber + 1) & 0xffff);
    return at <= this.#next || follows || this.#waiting.length > PATIENCE;
  }

  #handOn(): void {
    const { at, sequenceNumber, payload } = this.#waiting.shift()!;
    this.#lastSequenceNumber = sequenceNumber;
    // One that overlaps with what was handed on was sent by nobody in good faith.
    if (at < this.#next) return;
    this.#fillTo(at);
    this.#next = at + this.#options.durationOf(payload);
    this.#options.heard(payload);
  }

  #flush(): void {
    while (this.#waiting.length > 0) this.#handOn();
  }

  #fillTo(at: number): void {
    if (at <= this.#next) return;
    this.#options.missing(at - this.#next);
    this.#next = at;
  }
}

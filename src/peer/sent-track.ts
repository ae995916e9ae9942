import { randomInt } from 'node:crypto';
import type { Source } from './frames.ts';
import { type HeaderFields, makeHeader, writeHeader } from './rtp-header.ts';
import { protect, type SrtpKeys } from './srtp.ts';

/** Packets that are kept for retransmission: the last second of audio, and more than that of video. */
const KEPT = 64;

export interface SentTrackOptions extends HeaderFields {
  source: Source;
}

/** One stream of RTP packets that a client sends, in a loop over its source. */
export class SentTrack {
  readonly ssrc: number;
  readonly #source: Source;
  readonly #header: Buffer;
  readonly #kept: (Buffer | undefined)[] = new Array(KEPT);
  // RFC 3711 section 3.3.1: in the lower half, so that the first losses cannot hide a turn of the sequence number.
  #next = randomInt(2 ** 15);
  #timestamp = randomInt(2 ** 32);
  #frame = 0;
  #ticks = 0;

  constructor({ source, ...fields }: SentTrackOptions) {
    this.ssrc = fields.ssrc;
    this.#source = source;
    this.#header = makeHeader(fields);
  }

  /** SRTP packets of the frame that is due at this tick of 20 ms, if any. */
  tick(keys: SrtpKeys): Buffer[] {
    const { frames, ticks, timestampStep, marked } = this.#source;
    if (this.#ticks++ % ticks !== 0) return [];
    const { payloads } = frames[this.#frame]!;
    const packets = payloads.map((payload, i) => this.#packet(keys, payload, marked && i === payloads.length - 1));
    this.#frame = (this.#frame + 1) % frames.length;
    this.#timestamp = (this.#timestamp + timestampStep) % 2 ** 32;
    return packets;
  }

  /** Goes on with the next key frame. */
  skipToKeyFrame(): void {
    const { frames } = this.#source;
    while (!frames[this.#frame]!.key) this.#frame = (this.#frame + 1) % frames.length;
  }

  /** The packet of this sequence number as it was sent, if it was among the last. */
  sent(sequenceNumber: number): Buffer | undefined {
    const packet = this.#kept[sequenceNumber % KEPT];
    return packet?.readUInt16BE(2) === sequenceNumber ? packet : undefined;
  }

  #packet(keys: SrtpKeys, payload: Buffer, marker: boolean): Buffer {
    writeHeader(this.#header, marker, this.#next & 0xffff, this.#timestamp);
    const packet = protect(keys, this.#header, payload, this.#next);
    this.#kept[this.#next % KEPT] = packet;
    this.#next++;
    return packet;
  }
}

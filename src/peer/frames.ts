import { readFileSync } from 'node:fs';
import { TICK_MS } from './ticker.ts';

/** A frame as RTP payloads, in order. */
export interface Frame {
  payloads: readonly Buffer[];
  /** Whether a decoder can begin with it. */
  key: boolean;
}

/** Media that is sent in a loop. */
export interface Source {
  frames: readonly Frame[];
  /** Ticks from one frame to the next. */
  ticks: number;
  /** RTP timestamp from one frame to the next. */
  timestampStep: number;
  /** Whether the marker bit ends a frame (RFC 7741 section 4.1); with audio it would begin a talk spurt. */
  marked: boolean;
}

/** Leaves room for the headers of IP, UDP, RTP and SRTP within an Ethernet frame. */
const MAX_PAYLOAD = 1_200;

const read = (name: string): Buffer => readFileSync(new URL(`../../frames/${name}`, import.meta.url));

/** Packets of an Ogg stream (RFC 3533 section 6): segments of a page are joined up to the first that is not full. */
export const readOgg = (file: Buffer): Buffer[] => {
  const packets: Buffer[] = [];
  let open: Buffer[] = [];
  for (let page = 0; page < file.length; ) {
    const segments = file[page + 26]!;
    let at = page + 27 + segments;
    for (const length of file.subarray(page + 27, at)) {
      open.push(file.subarray(at, at + length));
      at += length;
      if (length === 255) continue;
      packets.push(Buffer.concat(open));
      open = [];
    }
    page = at;
  }
  return packets;
};

/** Frames of an IVF file: a header of 32 bytes, then each frame behind its length and 8 bytes of time. */
export const readIvf = (file: Buffer): Buffer[] => {
  const frames: Buffer[] = [];
  for (let at = file.readUInt16LE(6); at < file.length; ) {
    const length = file.readUInt32LE(at);
    frames.push(file.subarray(at + 12, at + 12 + length));
    at += 12 + length;
  }
  return frames;
};

/** RTP payloads of a VP8 frame, with the shortest payload descriptor: its S bit begins the frame (RFC 7741 section 4.2). */
export const packetizeVp8 = (frame: Buffer): Buffer[] => {
  const payloads: Buffer[] = [];
  for (let at = 0; at < frame.length; at += MAX_PAYLOAD - 1) {
    const descriptor = Buffer.of(at === 0 ? 0x10 : 0);
    payloads.push(Buffer.concat([descriptor, frame.subarray(at, at + MAX_PAYLOAD - 1)]));
  }
  return payloads;
};

/** RFC 7741 section 4.3: the lowest bit of a frame's first byte is 0 in key frames. */
const isKeyFrame = (frame: Buffer): boolean => (frame[0]! & 1) === 0;

/** The two packets before the audio of an Ogg stream are headers (RFC 7845 section 3). */
const opus = readOgg(read('audio.opus')).slice(2);

/** 400 Hz in G.711 μ-law: ten samples up and ten down, eight times a frame. */
const tone = Buffer.from(Array.from({ length: 160 }, (_, i) => (i % 20 < 10 ? 0x9f : 0x1f)));

/** By the codec that they are of. */
export const SOURCES = {
  opus: {
    frames: opus.map((packet) => ({ payloads: [packet], key: true })),
    ticks: 1,
    timestampStep: 48 * TICK_MS,
    marked: false,
  },
  PCMU: { frames: [{ payloads: [tone], key: true }], ticks: 1, timestampStep: 8 * TICK_MS, marked: false },
  VP8: {
    frames: readIvf(read('video.ivf')).map((frame) => ({ payloads: packetizeVp8(frame), key: isKeyFrame(frame) })),
    ticks: 2,
    timestampStep: 90 * 2 * TICK_MS,
    marked: true,
  },
} as const satisfies Record<string, Source>;

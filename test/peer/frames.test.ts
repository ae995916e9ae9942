import { describe, expect, it } from 'vitest';
import { packetizeVp8, readIvf, readOgg, SOURCES } from '../../src/peer/frames.ts';

const { opus: audio, VP8: video } = SOURCES;

describe('the recorded media', () => {
  it('is four seconds of Opus in frames of 20 ms, none of them silence', () => {
    expect(audio.frames.length).toBeGreaterThanOrEqual(200);
    for (const { payloads } of audio.frames) {
      const [packet] = payloads;
      expect(payloads).toHaveLength(1);
      // RFC 6716 section 3.1: one frame (code 0), of 20 ms in each of the three modes.
      expect(packet![0]! & 3).toBe(0);
      expect([1, 5, 9, 13, 15, 19, 23, 27, 31]).toContain(packet![0]! >> 3);
      expect(packet!.length).toBeGreaterThan(10);
    }
  });

  it('is four seconds of VP8 that begin with a key frame, and have one every second', () => {
    expect(video.frames).toHaveLength(100);
    video.frames.forEach(({ key, payloads }, i) => {
      if (i % 25 === 0) expect(key).toBe(true);
      for (const payload of payloads) expect(payload.length).toBeLessThanOrEqual(1_200);
      // RFC 7741 section 4.2: the S bit, on the first packet of a frame only.
      expect(payloads.map((payload) => payload[0])).toEqual([0x10, ...payloads.slice(1).map(() => 0)]);
    });
    expect(video.frames.some(({ payloads }) => payloads.length > 1)).toBe(true);
  });
});

describe('reading files', () => {
  it('joins the segments of Ogg packets, over pages too', () => {
    const page = (lengths: number[], byte: number) =>
      Buffer.concat([
        Buffer.alloc(26),
        Buffer.of(lengths.length, ...lengths),
        Buffer.alloc(
          lengths.reduce((a, b) => a + b, 0),
          byte,
        ),
      ]);
    const file = Buffer.concat([page([3, 255, 0, 255], 1), page([4, 5], 2)]);
    expect(readOgg(file).map(({ length }) => length)).toEqual([3, 255, 259, 5]);
  });

  it('takes the frames out of IVF', () => {
    const head = Buffer.alloc(32);
    head.writeUInt16LE(32, 6);
    const frame = (...bytes: number[]) => Buffer.from([bytes.length, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...bytes]);
    expect(readIvf(Buffer.concat([head, frame(1, 2, 3), frame(4)]))).toEqual([Buffer.of(1, 2, 3), Buffer.of(4)]);
  });

  it('cuts VP8 frames into packets and loses nothing', () => {
    const frame = Buffer.from(Array.from({ length: 3_000 }, (_, i) => i & 0xff));
    const payloads = packetizeVp8(frame);
    expect(payloads.map(({ length }) => length)).toEqual([1_200, 1_200, 603]);
    expect(Buffer.concat(payloads.map((payload) => payload.subarray(1)))).toEqual(frame);
  });
});

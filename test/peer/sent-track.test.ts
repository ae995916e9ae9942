import { describe, expect, it } from 'vitest';
import { type Frame, SOURCES, type Source } from '../../src/peer/frames.ts';
import { SentTrack } from '../../src/peer/sent-track.ts';
import { srtpKeys } from '../../src/peer/srtp.ts';

const keys = srtpKeys(Buffer.alloc(16, 1), Buffer.alloc(14, 2));

/** Frames that are told by their length, since they are encrypted. */
const frame = (length: number, key = false): Frame => ({ payloads: [Buffer.alloc(length)], key });
const HEADER_AND_TAG = 12 + 16;

const track = (frames: readonly Frame[], source: Source = SOURCES.VP8) =>
  new SentTrack({ source: { ...source, frames }, payloadType: 101, ssrc: 0xcafe, extension: undefined });

const lengths = (sent: SentTrack, ticks: number) =>
  Array.from({ length: ticks }, () => sent.tick(keys).map(({ length }) => length - HEADER_AND_TAG)).flat();

const sequenceNumber = (packet: Buffer) => packet.readUInt16BE(2);

describe('a sent track', () => {
  it('sends audio at every tick and video at every second, in a loop', () => {
    expect(lengths(track([frame(1), frame(2)], SOURCES.opus), 5)).toEqual([1, 2, 1, 2, 1]);
    expect(lengths(track([frame(1), frame(2)], SOURCES.VP8), 5)).toEqual([1, 2, 1]);
  });

  it('numbers the packets, shares the time within a frame and marks its end', () => {
    const big: Frame = { payloads: [Buffer.alloc(9), Buffer.alloc(8), Buffer.alloc(7)], key: true };
    const sent = track([big]);
    const [first, , third, next] = Array.from({ length: 4 }, () => sent.tick(keys)).flat() as [Buffer, ...Buffer[]];
    expect(sequenceNumber(third!)).toBe(sequenceNumber(first) + 2);
    expect(sequenceNumber(next!)).toBe(sequenceNumber(first) + 3);
    expect(third!.readUInt32BE(4)).toBe(first.readUInt32BE(4));
    expect(next!.readUInt32BE(4)).toBe((first.readUInt32BE(4) + 3_600) % 2 ** 32);
    expect([first, third!, next!].map((packet) => packet[1])).toEqual([101, 0x80 | 101, 101]);
  });

  it('goes on with the next key frame when asked for one', () => {
    const sent = track([frame(1, true), frame(2), frame(3), frame(4, true), frame(5)], SOURCES.opus);
    expect(lengths(sent, 2)).toEqual([1, 2]);
    sent.skipToKeyFrame();
    expect(lengths(sent, 2)).toEqual([4, 5]);
    sent.skipToKeyFrame();
    expect(lengths(sent, 1)).toEqual([1]);
  });

  it('keeps the last packets as they were sent, and no others', () => {
    const sent = track([frame(1)], SOURCES.opus);
    const packets = Array.from({ length: 100 }, () => sent.tick(keys)[0]!);
    for (const packet of packets.slice(-64)) expect(sent.sent(sequenceNumber(packet))).toBe(packet);
    for (const packet of packets.slice(0, -64)) expect(sent.sent(sequenceNumber(packet))).toBeUndefined();
    expect(sent.sent((sequenceNumber(packets[99]!) + 1) & 0xffff)).toBeUndefined();
  });
});

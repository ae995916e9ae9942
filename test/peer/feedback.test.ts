import { describe, expect, it } from 'vitest';
import { isFeedback, readRequests } from '../../src/peer/feedback.ts';

/** An RTCP packet: format, type, then both SSRCs and the rest in words of 32 bits. */
const rtcp = (format: number, type: number, ...words: number[]): Buffer => {
  const packet = Buffer.alloc(4 + words.length * 4);
  packet[0] = 0x80 | format;
  packet[1] = type;
  packet.writeUInt16BE(words.length, 2);
  words.forEach((word, i) => {
    packet.writeUInt32BE(word, 4 + i * 4);
  });
  return packet;
};

const PLI = rtcp(1, 206, 1, 0xcafe);
const FIR = rtcp(4, 206, 1, 0, 0xcafe, 0x07000000, 0xbeef, 0x01000000);
const NACK = rtcp(1, 205, 1, 0xcafe, 0x00640005, 0xffff0001);
const REPORT = rtcp(1, 201, 1, 0xcafe, 0, 0, 0, 0, 0);

describe('RTCP feedback', () => {
  it('asks for key frames', () => {
    expect(readRequests(PLI)).toEqual([{ for: 'key frame', ssrc: 0xcafe }]);
    expect(readRequests(FIR)).toEqual([
      { for: 'key frame', ssrc: 0xcafe },
      { for: 'key frame', ssrc: 0xbeef },
    ]);
  });

  it('asks for packets, one by one and by mask', () => {
    expect(readRequests(NACK)).toEqual([{ for: 'packets', ssrc: 0xcafe, sequenceNumbers: [100, 101, 103, 65_535, 0] }]);
  });

  it('is found in a compound packet', () => {
    expect(readRequests(Buffer.concat([REPORT, PLI, NACK])).map((request) => request.for)).toEqual([
      'key frame',
      'packets',
    ]);
  });

  it('is told by the packet that it begins with', () => {
    expect([PLI, FIR, NACK, REPORT].map(isFeedback)).toEqual([true, true, true, false]);
  });

  it('is nothing where it is cut off, empty or of a kind that nobody asked for', () => {
    for (let length = 0; length < NACK.length; length++) expect(readRequests(NACK.subarray(0, length))).toEqual([]);
    expect(readRequests(rtcp(1, 205))).toEqual([]);
    expect(readRequests(rtcp(15, 205, 1, 0xcafe, 0, 0))).toEqual([]);
    expect(readRequests(rtcp(15, 206, 1, 0, 0x52454d42, 0x01000000))).toEqual([]);
    expect(readRequests(REPORT)).toEqual([]);
  });
});

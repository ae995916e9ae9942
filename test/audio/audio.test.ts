import { describe, expect, it } from 'vitest';
import { Framer } from '../../src/audio/framer.ts';
import { readRtp, writeRtp } from '../../src/audio/rtp.ts';
import { TelephoneEvents } from '../../src/audio/telephone-event.ts';

describe('frames', () => {
  const cut = (...parts: (Buffer | number)[]) => {
    const frames: number[][] = [];
    const framer = new Framer(4, 9, (frame) => frames.push([...frame]));
    for (const part of parts) typeof part === 'number' ? framer.addSilence(part) : framer.add(part);
    return frames;
  };

  it('have one length, however long the packets are', () => {
    expect(cut(Buffer.of(1, 2, 3, 4))).toEqual([[1, 2, 3, 4]]);
    expect(cut(Buffer.of(1), Buffer.of(2, 3, 4, 5, 6, 7, 8, 9))).toEqual([[1, 2, 3, 4], [5, 6, 7, 8]]); // biome-ignore format: short
  });

  it('hold silence where there is nothing', () => {
    expect(cut(Buffer.of(1), 6, Buffer.of(2))).toEqual([[1, 9, 9, 9], [9, 9, 9, 2]]); // biome-ignore format: short
  });
});

describe('an RTP packet', () => {
  const fields = {
    payloadType: 8,
    marker: true,
    sequenceNumber: 65_535,
    timestamp: 4_294_967_295,
    ssrc: 3_000_000_000,
    payload: Buffer.from('sound'),
  };

  it('is read as it was written', () => {
    expect(readRtp(writeRtp(fields))).toEqual(fields);
  });

  it('is read behind sources and extensions, and without padding', () => {
    const plain = writeRtp(fields);
    const extension = Buffer.from('bede0001aabbccdd', 'hex');
    const packet = Buffer.concat([plain.subarray(0, 12), Buffer.alloc(4), extension, fields.payload, Buffer.of(0, 2)]);
    packet[0] = 0x80 | 0x20 | 0x10 | 1;
    expect(readRtp(packet)).toEqual(fields);
  });

  it('is nothing when it is cut short or of another protocol', () => {
    const packet = writeRtp(fields);
    const extended = Buffer.from(packet);
    extended[0] = 0x90;
    const padded = Buffer.concat([packet, Buffer.of(200)]);
    padded[0] = 0xa0;
    for (const bad of [packet.subarray(0, 11), Buffer.alloc(20), extended, padded]) {
      expect(readRtp(bad)).toBeUndefined();
    }
  });
});

describe('telephone events', () => {
  const press = (...packets: [timestamp: number, code: number, ended: boolean][]) => {
    let digits = '';
    const events = new TelephoneEvents((digit) => {
      digits += digit;
    });
    for (const [timestamp, code, ended] of packets) events.push(timestamp, Buffer.of(code, ended ? 0x80 : 0, 0, 160));
    return digits;
  };

  it('are keys, each told once however often its packets come', () => {
    expect(press([1, 1, false], [1, 1, false], [1, 1, true], [1, 1, true], [1, 1, true], [2, 11, true])).toBe('1#');
  });

  it('are told when the next one begins if their ends were lost', () => {
    expect(press([1, 5, false], [2, 5, false], [2, 5, true])).toBe('55');
  });

  it('are nothing when they are no keys', () => {
    expect(press([1, 16, true], [2, 200, true])).toBe('');
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReceivedStream } from '../../src/peer/received-stream.ts';

const received = (sequenceNumbers: Iterable<number>): ReceivedStream => {
  const stream = new ReceivedStream();
  for (const number of sequenceNumbers) stream.add(stream.extend(number & 0xffff));
  return stream;
};

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

describe('a received stream', () => {
  it('has lost nothing when every packet came', () => {
    expect(received([]).lost).toBe(0);
    expect(received([7]).lost).toBe(0);
    expect(received(range(7, 5000)).lost).toBe(0);
  });

  it('counts one in twenty that a server leaves out', () => {
    expect(received(range(0, 2000).filter((number) => number % 20 !== 10)).lost).toBe(100);
  });

  it('goes on over the turn of the sequence number', () => {
    const stream = received(range(65_530, 20));
    expect(stream.lost).toBe(0);
    expect(stream.extend(13)).toBe(65_536 + 13);
    expect(received(range(65_530, 3 * 65_536).filter((number) => number % 1000 !== 0)).lost).toBe(197);
  });

  it('forgives a packet that comes late, even before the first', () => {
    expect(received([1, 2, 4, 3]).lost).toBe(0);
    expect(received([5, 3]).lost).toBe(1);
    expect(received([5, 3, 4]).lost).toBe(0);
  });

  it('counts a repeated packet once', () => {
    expect(received([1, 1, 2, 2, 2, 4, 1]).lost).toBe(1);
  });

  it('leaves the count alone for what is too late to tell', () => {
    expect(received([0, ...range(2, 3000), 1, 1, 1]).lost).toBe(1);
    expect(received([0, 10_000, 0]).lost).toBe(9_999);
  });

  it('is never wrong about what came out of order, repeated or not at all', () => {
    const arrivals = fc.array(fc.record({ number: fc.nat(400), copies: fc.integer({ min: 0, max: 3 }) }));
    fc.assert(
      fc.property(fc.nat(65_535), arrivals, (base, order) => {
        const came = order.flatMap(({ number, copies }) => Array.from({ length: copies }, () => base + number));
        const distinct = new Set(came).size;
        const expected = came.length === 0 ? 0 : Math.max(...came) - Math.min(...came) + 1 - distinct;
        expect(received(came).lost).toBe(expected);
      }),
    );
  });
});

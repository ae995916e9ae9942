import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { PacketOrder } from '../../src/audio/packet-order.ts';
import type { RtpPacket } from '../../src/audio/rtp.ts';

const SAMPLES = 160;
let heard: string[];
let order: PacketOrder;

/** The nth 20 ms of a stream, whose payload says so. */
const packet = (n: number, { sequenceNumber = n, ssrc = 7, begin = 0xffff_ff00, bytes = SAMPLES } = {}): RtpPacket => ({
  payloadType: 0,
  marker: false,
  sequenceNumber: sequenceNumber & 0xffff,
  timestamp: (begin + n * SAMPLES) >>> 0,
  ssrc,
  payload: Buffer.alloc(bytes, n),
});

const makeOrder = () =>
  new PacketOrder({
    perMs: 8,
    durationOf: ({ length }) => length,
    heard: (payload) => heard.push(String(payload[0])),
    missing: (duration) => heard.push(`-${duration / 8}`),
  });
const feed = (numbers: number[]) => {
  for (const [i, n] of numbers.entries()) order.push(packet(n), i * 20);
};

beforeEach(() => {
  heard = [];
  order = makeOrder();
});

describe('the order of packets', () => {
  it('is that of their timestamps, through the turn of 32 bits', () => {
    feed([0, 1, 3, 2, 4]);
    expect(heard).toEqual(['0', '1', '2', '3', '4']);
  });

  it('waits for a few packets, and then what is missing is silence', () => {
    feed([0, 2, 3, 4]);
    expect(heard).toEqual(['0']);
    order.push(packet(5), 100);
    expect(heard).toEqual(['0', '-20', '2', '3', '4', '5']);
    order.push(packet(1), 110);
    expect(heard.at(-1)).toBe('5');
  });

  it('takes a pause of the sender for silence at once', () => {
    order.push(packet(0), 0);
    order.push(packet(5, { sequenceNumber: 1 }), 100);
    expect(heard).toEqual(['0', '-80', '5']);
  });

  it('drops what came twice', () => {
    feed([0, 1, 1, 0, 2, 2]);
    expect(heard).toEqual(['0', '1', '2']);
  });

  it('goes on in silence when nothing comes, in time, and takes what comes after', () => {
    order.push(packet(0), 0);
    expect(order.tick(0)).toBe(200);
    expect(order.tick(200)).toBe(20);
    expect(order.tick(300)).toBe(20);
    expect(heard).toEqual(['0', '-100']);
    order.push(packet(20), 400);
    expect(heard).toEqual(['0', '-100', '-280', '20']);
  });

  it('follows a stream that begins anew: another SSRC, or a jump that the clock does not explain', () => {
    feed([0, 1]);
    order.push(packet(0, { ssrc: 8, begin: 1_000_000 }), 40);
    order.push(packet(1, { ssrc: 8, begin: 1_000_000 }), 60);
    expect(heard).toEqual(['0', '1', '0', '1']);
    order.push(packet(2, { ssrc: 8, begin: 90_000_000 }), 80);
    order.push(packet(3, { ssrc: 8, begin: 90_000_000 }), 100);
    expect(heard).toEqual(['0', '1', '0', '1', '2', '3']);
  });

  it('follows a clock that was set back, once it has been late for a second', () => {
    feed([0, 1]);
    for (let n = 2; n < 80; n++) order.push(packet(n, { begin: 0x7fff_0000 }), n * 20);
    expect(heard.at(-1)).toBe('79');
  });

  it('invents no more than a second of silence, whatever timestamps say', () => {
    const numbers = fc.array(fc.record({ at: fc.nat(0xffff_ffff), sequence: fc.nat(0xffff) }), { maxLength: 60 });
    fc.assert(
      fc.property(numbers, (packets) => {
        heard = [];
        order = makeOrder();
        for (const [i, { at, sequence }] of packets.entries()) {
          order.push({ ...packet(0, { sequenceNumber: sequence }), timestamp: at }, i * 20);
        }
        order.tick(packets.length * 20 + 500);
        const missing = heard.filter((text) => text.startsWith('-')).reduce((sum, text) => sum - Number(text), 0);
        expect(missing).toBeLessThanOrEqual(packets.length * 20 + 500 + 1000);
      }),
    );
  });

  it('lasts as long as the sender says, whatever is lost, late or out of order', () => {
    const fates = fc.array(fc.record({ lost: fc.boolean(), late: fc.nat(2) }), { minLength: 20, maxLength: 200 });
    fc.assert(
      fc.property(fates, (packets) => {
        heard = [];
        order = makeOrder();
        const arrivals = packets.flatMap(({ lost, late }, n) => (lost && n > 0 ? [] : { n, at: (n + late) * 20 }));
        arrivals.sort((a, b) => a.at - b.at);
        // Where the timeline begins is settled by what comes first.
        order.push(packet(0), 0);
        for (const { n, at } of arrivals) order.push(packet(n), at);
        order.tick(packets.length * 20 + 1000);
        const ms = heard.reduce((sum, text) => sum + (text.startsWith('-') ? -Number(text) : 20), 0);
        expect(ms).toBeGreaterThanOrEqual(packets.length * 20);
        expect(heard.filter((text) => !text.startsWith('-'))).toEqual([
          ...new Set(heard.filter((text) => !text.startsWith('-'))),
        ]);
      }),
    );
  });

  it('drifts by nothing in ten minutes', () => {
    for (let n = 0; n < 30_000; n++) {
      if (n % 97 === 0 || n % 101 === 0) continue;
      order.push(packet(n), n * 20.002);
    }
    order.tick(600_240);
    const ms = heard.reduce((sum, text) => sum + (text.startsWith('-') ? -Number(text) : 20), 0);
    // The first was lost.
    expect(ms).toBe((30_000 - 1) * 20);
  });
});

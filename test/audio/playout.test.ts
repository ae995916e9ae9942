import { beforeEach, describe, expect, it } from 'vitest';
import { Playout } from '../../src/audio/playout.ts';
import { FakeClock } from '../support/fake-clock.ts';

const FRAME = 160;
let clock: FakeClock;
let played: { bytes: Buffer; at: number; first: boolean }[];
let marks: string[];
let playout: Playout;

const audio = (bytes: number, value = 1) => Buffer.alloc(bytes, value);
const times = () => played.map(({ at, first }) => `${at}${first ? '!' : ''}`);

beforeEach(() => {
  clock = new FakeClock();
  played = [];
  marks = [];
  playout = new Playout({
    clock,
    frameBytes: FRAME,
    silence: 0xff,
    maxMs: 600_000,
    play: (frame, at, first) => played.push({ bytes: frame, at, first }),
    marked: (name) => marks.push(name),
  });
  playout.release();
});

describe('what is played out', () => {
  it('goes at 20 ms, the first at once, and fills up the last with silence', () => {
    playout.add(audio(2 * FRAME + 40));
    expect(times()).toEqual(['0!']);
    clock.advance(19);
    expect(times()).toEqual(['0!']);
    clock.advance(30);
    expect(times()).toEqual(['0!', '20', '40']);
    expect([...played.at(-1)!.bytes]).toEqual([...Array(40).fill(1), ...Array(120).fill(0xff)]);
    clock.advance(100);
    expect(played).toHaveLength(3);
  });

  it('tells the listener how long a pause was', () => {
    playout.add(audio(FRAME));
    clock.advance(500);
    playout.add(audio(2 * FRAME));
    clock.advance(21);
    expect(times()).toEqual(['0!', '500!', '520']);
  });

  it('joins what comes in pieces', () => {
    playout.add(audio(FRAME));
    for (const value of [2, 3, 4, 5]) playout.add(audio(FRAME / 4, value));
    clock.advance(21);
    expect([...played[1]!.bytes].filter((_, i) => i % 40 === 0)).toEqual([2, 3, 4, 5]);
  });

  it('keeps to the clock: ten minutes take ten minutes', () => {
    playout.add(audio(30_000 * FRAME));
    clock.advance(600_000);
    expect(played).toHaveLength(30_000);
    expect(played.at(-1)!.at).toBe(599_980);
  });

  it('waits while nobody listens', () => {
    playout.hold();
    playout.add(audio(2 * FRAME));
    playout.mark('end');
    clock.advance(1000);
    expect([played, marks]).toEqual([[], []]);
    playout.release();
    clock.advance(41);
    expect([times(), marks]).toEqual([['0!', '20'], ['end']]);
  });

  it('goes on from now after the process stood still, and hurries nothing after', () => {
    playout.add(audio(10 * FRAME));
    clock.stop(1000);
    clock.advance(1);
    expect(times()).toEqual(['0!', '1000!']);
    clock.advance(21);
    expect(times()).toEqual(['0!', '1000!', '1020']);
  });

  it('makes up for a short delay', () => {
    playout.add(audio(10 * FRAME));
    clock.stop(100);
    clock.advance(1);
    expect(times()).toEqual(['0!', '20', '40', '60', '80', '100']);
  });
});

describe('a mark', () => {
  it('comes back when all before it has been played to its end', () => {
    playout.add(audio(FRAME + 40));
    playout.mark('a');
    playout.add(audio(40));
    playout.mark('b');
    clock.advance(21);
    expect(marks).toEqual([]);
    clock.advance(20);
    expect(marks).toEqual(['a', 'b']);
  });

  it('comes back at once where nothing is before it', () => {
    playout.mark('now');
    expect(marks).toEqual(['now']);
  });

  it('waits for the end of what is played', () => {
    playout.add(audio(FRAME));
    playout.mark('end');
    expect(marks).toEqual([]);
    clock.advance(21);
    expect(marks).toEqual(['end']);
  });
});

describe('clearing', () => {
  it('leaves nothing but the packet that was sent, and marks come back at once, in order', () => {
    playout.add(audio(5 * FRAME));
    playout.mark('a');
    playout.add(audio(FRAME));
    playout.mark('b');
    playout.clear();
    expect(marks).toEqual(['a', 'b']);
    clock.advance(1000);
    expect(played).toHaveLength(1);
    playout.add(audio(FRAME));
    expect(times()).toEqual(['0!', '1000!']);
  });
});

describe('what may wait', () => {
  it('is ten minutes of sound, and a thousand marks', () => {
    playout.hold();
    expect(playout.add(audio(600_000 * 8))).toBe(true);
    expect(playout.add(audio(1))).toBe(false);
    for (let i = 0; i < 1000; i++) expect(playout.mark('m')).toBe(true);
    expect(playout.mark('m')).toBe(false);
    playout.clear();
    expect(marks).toHaveLength(1000);
    expect(playout.add(audio(1))).toBe(true);
  });
});

import { describe, expect, it } from 'vitest';
import { MinuteCount } from '../../src/shared/minute-count.ts';

describe('a count by the minute', () => {
  it('allows so many of each key, and as many again a minute later', () => {
    const count = new MinuteCount(2);
    const at = (now: number, key = 'a') => count.record(key, now);
    expect([at(0), at(1), at(59_999), at(59_999, 'b')]).toEqual([true, true, false, true]);
    expect([at(60_000), at(60_001), at(60_002)]).toEqual([true, true, false]);
  });

  it('holds no more than 100,000 keys', () => {
    const count = new MinuteCount(1);
    for (let i = 0; i < 100_000; i++) count.record(`${i}`, 0);
    expect(count.record('0', 0)).toBe(true);
  });
});

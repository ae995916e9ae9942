import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { everyTick } from '../../src/peer/ticker.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('the ticker', () => {
  it('ticks every 20 ms for everybody, with one timer', () => {
    const ticks = Array.from({ length: 10 }, () => vi.fn());
    const stops = ticks.map(everyTick);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1000);
    for (const tick of ticks) expect(tick).toHaveBeenCalledTimes(50);
    for (const stop of stops) stop();
  });

  it('lets clients send in turns', () => {
    const order: number[] = [];
    const stops = [0, 1, 2, 3, 4].map((client) => everyTick(() => order.push(client)));
    vi.advanceTimersByTime(5);
    expect(order).toEqual([0, 4]);
    vi.advanceTimersByTime(15);
    expect(order).toEqual([0, 4, 1, 2, 3]);
    for (const stop of stops) stop();
  });

  it('stops for one client without stopping for another, and altogether after the last', () => {
    const [first, second] = [vi.fn(), vi.fn()];
    const stop = everyTick(first);
    const stopSecond = everyTick(second);
    stop();
    vi.advanceTimersByTime(100);
    expect(first).not.toHaveBeenCalled();
    expect(second).toHaveBeenCalledTimes(5);
    stopSecond();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('makes up for a short delay, and not for a long one', () => {
    const tick = vi.fn();
    const stop = everyTick(tick);
    const late = (ms: number) => {
      vi.setSystemTime(Date.now());
      const now = performance.now();
      const clock = vi.spyOn(performance, 'now').mockReturnValue(now + ms);
      vi.advanceTimersByTime(5);
      clock.mockRestore();
    };
    late(100);
    expect(tick).toHaveBeenCalledTimes(5);
    late(10_000);
    expect(tick.mock.calls.length).toBeLessThanOrEqual(5 + 10);
    stop();
  });
});

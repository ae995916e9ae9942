import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Reconnection } from '../../src/client/reconnection.ts';

let tries: number[];
let gaveUp: number[];
let reconnection: Reconnection;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0);
  tries = [];
  gaveUp = [];
  const since = performance.now();
  reconnection = new Reconnection({
    attempt: () => void tries.push(performance.now() - since),
    gaveUp: (ms) => {
      gaveUp.push(ms);
      reconnection.end();
    },
  });
});
afterEach(() => {
  reconnection.end();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** The next so many tries fail as soon as they are made. */
async function refuse(count: number): Promise<void> {
  const until = tries.length + count;
  while (tries.length < until) {
    reconnection.failed();
    await vi.advanceTimersToNextTimerAsync();
  }
}

describe('coming back', () => {
  it('is tried at once, then after waits that double up to 4 s', async () => {
    reconnection.begin(30_000);
    expect(tries).toEqual([0]);
    await refuse(7);
    const waits = tries.slice(1).map((at, index) => at - tries[index]!);
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 4000, 4000]);
  });

  it('is spread by chance over the second half of a wait', async () => {
    vi.mocked(Math.random).mockReturnValue(0.999);
    reconnection.begin(30_000);
    await refuse(6);
    expect(tries[6]! - tries[5]!).toBeCloseTo(2000, -2);
  });

  it('takes a try that nobody answers for failed', () => {
    reconnection.begin(30_000);
    vi.advanceTimersByTime(6250);
    expect(tries).toEqual([0, 6250]);
  });

  it('is given up 30 s after the time that the server allows', () => {
    reconnection.begin(10_000);
    vi.advanceTimersByTime(39_999);
    expect(gaveUp).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(gaveUp).toEqual([40_000]);
  });

  it('is tried at once, and as if for the first time, when there is a network again', async () => {
    reconnection.begin(30_000);
    await refuse(6);
    const at = tries.at(-1)!;
    reconnection.now();
    expect(tries.at(-1)).toBe(at);
    await refuse(1);
    expect(tries.at(-1)).toBe(at + 250);
  });

  it('goes on where it was when the server breaks off at once', async () => {
    reconnection.begin(30_000);
    await refuse(3);
    reconnection.end();
    const at = tries.at(-1)!;
    reconnection.begin(30_000);
    expect(tries).toHaveLength(4);
    await vi.advanceTimersToNextTimerAsync();
    expect(tries.at(-1)).toBe(at + 2000);
    reconnection.end();
    vi.advanceTimersByTime(5001);
    reconnection.begin(30_000);
    expect(tries).toHaveLength(6);
  });
});

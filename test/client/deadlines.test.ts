import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../src/client/deadlines.ts';

let told: string[];
let deadlines: Deadlines;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  deadlines = new Deadlines((code, message) => told.push(`${code}: ${message}`));
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('a wait', () => {
  it('says in the end what was waited for', () => {
    deadlines.begin('socket');
    vi.advanceTimersByTime(9_999);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(told).toEqual([expect.stringMatching(/^network_error: Waited 10 s in vain for the WebSocket to open/)]);
  });

  it('for a certificate runs out before the one for the socket, which begins with it', () => {
    deadlines.begin('socket');
    deadlines.begin('certificate');
    vi.advanceTimersByTime(9_999);
    expect(told).toEqual([expect.stringMatching(/^not_supported: Waited 8 s/)]);
    deadlines.endAll();
  });

  it('is not made longer by beginning again', () => {
    deadlines.begin('offer');
    vi.advanceTimersByTime(9_000);
    deadlines.begin('offer');
    vi.advanceTimersByTime(6_000);
    expect(told).toHaveLength(1);
    vi.advanceTimersByTime(60_000);
    expect(told).toHaveLength(1);
  });

  it('is over with the work that it is for, well or badly', async () => {
    await expect(deadlines.during('answer', Promise.resolve('done'))).resolves.toBe('done');
    await expect(deadlines.during('answer', Promise.reject(new Error('no')))).rejects.toThrow('no');
  });

  it('can begin after what has to pass in any case, even when no timer is that long', () => {
    deadlines.begin('expiry', 3_600_000);
    vi.advanceTimersByTime(3_600_000);
    expect(told).toEqual([]);
    deadlines.end('expiry');
    deadlines.begin('expiry', 60 * 86_400_000);
    vi.advanceTimersByTime(86_400_000);
    expect(told).toEqual([]);
    deadlines.endAll();
  });
});

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { MediaFlow } from '../../src/client/media-flow.ts';

let received: number | undefined;
let told: boolean[];
let flow: MediaFlow;

beforeEach(() => {
  vi.useFakeTimers();
  received = 0;
  told = [];
  flow = new MediaFlow({ received: async () => received, changed: (flows) => void told.push(flows) });
});
afterEach(() => {
  flow.stop();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

it('tells at once what is likely, and then what it has seen', async () => {
  flow.watch(true);
  expect(told).toEqual([true]);
  await vi.advanceTimersByTimeAsync(500);
  expect(told).toEqual([true, false]);
  received = 100;
  await vi.advanceTimersByTimeAsync(500);
  expect(told).toEqual([true, false, true]);
  received = 200;
  await vi.advanceTimersByTimeAsync(500);
  expect(told).toEqual([true, false, true]);
});

it('stays with what is likely where no media is expected', async () => {
  received = undefined;
  flow.watch(true);
  await vi.advanceTimersByTimeAsync(5000);
  expect(told).toEqual([true]);
});

it('tells nothing any more when it is not asked', async () => {
  flow.watch(true);
  flow.stop();
  await vi.advanceTimersByTimeAsync(5000);
  expect(told).toEqual([true]);
  flow.watch(true);
  expect(told).toEqual([true, true]);
});

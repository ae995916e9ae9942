import { expect, it } from 'vitest';
import { percentiles } from '../../src/load/percentiles.ts';

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

it.each([
  ['none', [], { count: 0, p50: 0, p90: 0, p95: 0, p99: 0, max: 0 }],
  ['one', [7], { count: 1, p50: 7, p90: 7, p95: 7, p99: 7, max: 7 }],
  ['two, of which the lower is the median', [9, 2], { count: 2, p50: 2, p90: 9, p95: 9, p99: 9, max: 9 }],
  ['a hundred', upTo(100).reverse(), { count: 100, p50: 50, p90: 90, p95: 95, p99: 99, max: 100 }],
  ['twenty, of which none is between the values', upTo(20), { count: 20, p50: 10, p90: 18, p95: 19, p99: 20, max: 20 }],
])('percentiles of %s', (_, values, expected) => {
  expect(percentiles(values)).toEqual(expected);
});

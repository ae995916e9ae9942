import type { Percentiles } from './report.ts';

/** Percentiles by nearest rank: the smallest value that at least so many percent of all do not exceed. Zeros of none. */
export function percentiles(values: readonly number[]): Percentiles {
  const sorted = Float64Array.from(values).sort();
  return {
    count: sorted.length,
    p50: nearestRank(sorted, 50),
    p90: nearestRank(sorted, 90),
    p95: nearestRank(sorted, 95),
    p99: nearestRank(sorted, 99),
    max: sorted.at(-1) ?? 0,
  };
}

const nearestRank = (sorted: Float64Array, percent: number): number =>
  sorted[Math.max(Math.ceil((percent * sorted.length) / 100), 1) - 1] ?? 0;

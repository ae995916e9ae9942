import { printable } from '../../shared/printable.ts';
import { percentiles } from '../percentiles.ts';
import type { Arrival } from '../plan.ts';
import { clock, count } from '../words.ts';

const BUCKETS = 20;
const BAR = 40;
const MOST_ENDPOINTS = 10;
const NICE_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** What a file of recorded sessions holds, for people, line by line. */
export function describe(arrivals: readonly Arrival[]): string[] {
  const spanMs = arrivals.reduce((latest, { atMs }) => Math.max(latest, atMs), 0);
  const peak = peakOf(arrivals);
  const { p50, p90, p99, max } = percentiles(arrivals.map(({ durationMs }) => durationMs));
  return [
    `${count(arrivals.length)} sessions, arriving within ${duration(spanMs)}`,
    `peak concurrency ${count(peak.sessions)}, ${duration(peak.atMs)} after the first arrival`,
    `durations: p50 ${duration(p50)}, p90 ${duration(p90)}, p99 ${duration(p99)}, max ${duration(max)}`,
    '',
    'arrivals',
    ...arrivalChart(arrivals, spanMs),
    '',
    ...shares(
      'endpoint',
      arrivals,
      ({ endpointId }) => printable(endpointId) || '(none named: replay with --endpoint)',
    ),
    ...shares('media', arrivals, ({ media }) => media),
    ...shares('ending', arrivals, ({ ending }) => ending),
  ];
}

/** The most sessions at one moment, and the first such moment. One that ends as another begins is over. */
function peakOf(arrivals: readonly Arrival[]): { sessions: number; atMs: number } {
  const begins = Float64Array.from(arrivals, ({ atMs }) => atMs).sort();
  const ends = Float64Array.from(arrivals, ({ atMs, durationMs }) => atMs + durationMs).sort();
  let peak = { sessions: 0, atMs: 0 };
  let ended = 0;
  for (const [i, atMs] of begins.entries()) {
    while (ends[ended]! <= atMs && ended < i) ended++;
    if (i + 1 - ended > peak.sessions) peak = { sessions: i + 1 - ended, atMs };
  }
  return peak;
}

function arrivalChart(arrivals: readonly Arrival[], spanMs: number): string[] {
  const stepMs = bucketMs(spanMs);
  const counts = new Array<number>(Math.floor(spanMs / stepMs) + 1).fill(0);
  for (const { atMs } of arrivals) counts[Math.floor(atMs / stepMs)]!++;
  const most = Math.max(...counts, 1);
  const labels = columns(counts.map((_, i) => clock((i * stepMs) / 1000)));
  const figures = columns(counts.map(count));
  return counts.map((n, i) => `  ${labels[i]}  ${figures[i]}  ${'█'.repeat(Math.ceil((n / most) * BAR))}`.trimEnd());
}

/** Of the lengths that people count in, the shortest that needs no more than so many buckets. */
function bucketMs(spanMs: number): number {
  const seconds = NICE_SECONDS.find((s) => spanMs / (s * 1000) < BUCKETS);
  return 1000 * (seconds ?? 86_400 * Math.ceil((spanMs + 1) / 86_400_000 / BUCKETS));
}

function shares(title: string, arrivals: readonly Arrival[], keyOf: (arrival: Arrival) => string): string[] {
  const counts = new Map<string, number>();
  for (const arrival of arrivals) counts.set(keyOf(arrival), (counts.get(keyOf(arrival)) ?? 0) + 1);
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const told = sorted.slice(0, MOST_ENDPOINTS);
  const others = sorted.slice(MOST_ENDPOINTS).reduce((sum, [, n]) => sum + n, 0);
  if (others > 0) told.push([`${count(sorted.length - MOST_ENDPOINTS)} others`, others]);
  const figures = columns(told.map(([, n]) => count(n)));
  const percents = columns(told.map(([, n]) => `${Math.round((100 * n) / arrivals.length)}%`));
  return [title, ...told.map(([name], i) => `  ${figures[i]}  ${percents[i]}  ${name}`)];
}

/** Aligned to the right. */
function columns(texts: readonly string[]): string[] {
  const width = Math.max(...texts.map(({ length }) => length));
  return texts.map((text) => text.padStart(width));
}

function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 100) / 10;
  if (seconds < 60) return `${seconds} s`;
  return `${clock(ms / 1000)} ${ms < 3_599_500 ? 'min' : 'h'}`;
}

import { expect, it } from 'vitest';
import type { Arrival } from '../../../src/load/plan.ts';
import { describe } from '../../../src/load/trace/describe.ts';

const arrival = (atMs: number, durationMs: number, more: Partial<Arrival> = {}): Arrival => ({
  atMs,
  durationMs,
  endpointId: 'ep_a',
  media: 'audio',
  ending: 'hangup',
  ...more,
});

it('tells how many, when, how long, and of what kind', () => {
  const arrivals = [
    arrival(0, 2000),
    arrival(1500, 61_000, { media: 'none', ending: 'silence' }),
    arrival(1900, 40, { endpointId: 'ep_b' }),
    arrival(2000, 3_725_000),
  ];
  expect(describe(arrivals)).toEqual([
    '4 sessions, arriving within 2 s',
    'peak concurrency 3, 1.9 s after the first arrival',
    'durations: p50 2 s, p90 1:02:05 h, p99 1:02:05 h, max 1:02:05 h',
    '',
    'arrivals',
    '  0:00  1  ████████████████████',
    `  0:01  2  ${'█'.repeat(40)}`,
    '  0:02  1  ████████████████████',
    '',
    'endpoint',
    '  3  75%  ep_a',
    '  1  25%  ep_b',
    'media',
    '  3  75%  audio',
    '  1  25%  none',
    'ending',
    '  3  75%  hangup',
    '  1  25%  silence',
  ]);
});

it.each([0, 1, 19_999, 20_000, 119_000, 3_600_000, 86_400_000, 31 * 86_400_000, 400 * 86_400_000])(
  'draws a span of %i ms in at most 20 buckets that hold every session',
  (spanMs) => {
    const arrivals = Array.from({ length: 100 }, (_, i) => arrival((i * spanMs) / 99, 1000));
    const lines = describe(arrivals);
    const chart = lines.slice(lines.indexOf('arrivals') + 1, lines.indexOf('endpoint') - 1);
    expect(chart.length).toBeLessThanOrEqual(20);
    expect(chart.map((line) => Number(line.trim().split(/ +/)[1])).reduce((a, b) => a + b)).toBe(100);
    for (const line of chart) expect(line.length).toBeLessThan(80);
  },
);

it('says what to do where no endpoint is named, sums up many endpoints, and lets none write to the terminal', () => {
  expect(describe([arrival(0, 1, { endpointId: '' })]).join()).toContain('(none named: replay with --endpoint)');
  const many = Array.from({ length: 12 }, (_, i) => arrival(i, 1, { endpointId: `ep_${i}` }));
  expect(describe(many)).toContain('  2  17%  2 others');
  expect(describe([arrival(0, 1, { endpointId: 'ep\u001b[2J\u202E' })]).join('')).toContain('ep\uFFFD[2J\uFFFD');
});

it('counts one that ends as another begins as over', () => {
  const inTurn = Array.from({ length: 5 }, (_, i) => arrival(i * 1000, 1000));
  expect(describe(inTurn)[1]).toBe('peak concurrency 1, 0 ms after the first arrival');
});

import { type Html, html } from '../shared/html.ts';
import { ms } from './milliseconds.ts';
import { type Chart, drawChart, type Layer } from './page-chart.ts';
import type { Second } from './report.ts';
import { count } from './words.ts';

const MOST_COLUMNS = 120;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

type Latency = 'offer' | 'connected';

/** The run over time. */
export function charts(series: readonly Second[]): Html {
  const step =
    STEPS.find((seconds) => series.length / seconds <= MOST_COLUMNS) ?? Math.ceil(series.length / MOST_COLUMNS);
  const columns = Array.from({ length: Math.ceil(series.length / step) }, (_, i) =>
    series.slice(i * step, (i + 1) * step),
  );
  const drawn = [
    sessions(columns, step),
    ...rate('Arrivals per second', 'arrived', 'brass', columns, step),
    ...latency('Arrival to offer', 'offer', columns, step),
    ...latency('Arrival to connected media', 'connected', columns, step),
    ...rate('Errors per second', 'errors', 'red', columns, step),
  ].map(drawChart);
  return html`<section class="wide"><h2>Over time</h2>
${step > 1 && html`<p class="quiet">Each column is ${step} seconds: of sessions and latencies their worst second, of arrivals and errors the mean.</p>`}
<div class="charts">${drawn}</div></section>`;
}

type Columns = readonly (readonly Second[])[];

function sessions(columns: Columns, step: number): Chart {
  const values = columns.map((seconds) => most(seconds.map(({ concurrent }) => concurrent)));
  const layers: Layer[] = [{ name: 'sessions', shape: 'area', colour: 'green', values }];
  return { title: 'Sessions at once', headline: `peak ${count(most(values))}`, layers, format: count, step };
}

function rate(
  title: string,
  key: 'arrived' | 'errors',
  colour: Layer['colour'],
  columns: Columns,
  step: number,
): Chart[] {
  const values = columns.map((seconds) => sum(seconds.map((second) => second[key])) / seconds.length);
  if (most(values) === 0) return [];
  const format = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 1 });
  const layers: Layer[] = [{ name: key, shape: 'bars', colour, values }];
  return [{ title, headline: `peak ${format(most(values))} /s`, layers, format, step }];
}

function latency(title: string, key: Latency, columns: Columns, step: number): Chart[] {
  const known = columns.map((seconds) => seconds.flatMap((second) => second[key] ?? []));
  if (known.every(({ length }) => length === 0)) return [];
  const worst = (part: 'p50' | 'p95') =>
    known.map((all) => (all.length === 0 ? undefined : most(all.map((percentiles) => percentiles[part]))));
  const layers: Layer[] = [
    { name: 'p95', shape: 'area', colour: 'brass', values: worst('p95') },
    { name: 'p50', shape: 'line', colour: 'green', values: worst('p50') },
  ];
  const p95 = most(layers[0]!.values.map((value) => value ?? 0));
  return [{ title, headline: `worst p95 ${ms(p95)} ms`, layers, format: (value) => `${tick(value)} ms`, step }];
}

const tick = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0);
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

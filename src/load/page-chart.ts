import { type Html, html } from '../shared/html.ts';
import { clock } from './words.ts';

export interface Chart {
  title: string;
  /** The one figure to take home. */
  headline: string;
  layers: readonly Layer[];
  /** How values are told, with their unit. */
  format(value: number): string;
  /** Seconds that one column stands for. */
  step: number;
}

export interface Layer {
  name: string;
  shape: 'bars' | 'area' | 'line';
  colour: 'green' | 'brass' | 'red';
  /** One for each column; undefined where nothing is known. */
  values: readonly (number | undefined)[];
}

const HEIGHT = 100;
const TICKS = 4;
const TIMES = 6;
const NICE_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/**
 * A chart over time that needs no script: the drawing stretches with the page while its texts, which are not part of it, keep
 * their size; what a column holds is shown by the style sheet when it is pointed at.
 */
export function drawChart({ title, headline, layers, format, step }: Chart): Html {
  const columns = layers[0]?.values.length ?? 0;
  const { top, ticks } = scale(Math.max(...layers.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const y = (value: number): string => (HEIGHT - (value / top) * HEIGHT).toFixed(2);
  return html`<figure class="chart">
<figcaption><h3>${title}</h3>
${layers.length > 1 && html`<ul class="legend">${layers.map(({ name, colour }) => html`<li class="${colour}">${name}</li>`)}</ul>`}<p class="headline">${headline}</p></figcaption>
<div class="plot" aria-hidden="true">
${ticks.map((value) => html`<span class="y" style="bottom:${((value / top) * 100).toFixed(2)}%">${format(value)}</span>`)}
<svg viewBox="0 0 ${columns} ${HEIGHT}" preserveAspectRatio="none">
${ticks.map((value) => html`<path class="grid" d="M0 ${y(value)}H${columns}"/>`)}
${layers.map((layer) => drawLayer(layer, y))}
</svg>
<div class="columns">${Array.from({ length: columns }, (_, i) => readout(layers, i, step, format))}</div>
${times(columns, step).map((i) => html`<span class="x" style="left:${((100 * i) / columns).toFixed(2)}%">${clock(i * step)}</span>`)}
</div>
</figure>`;
}

function drawLayer({ shape, colour, values }: Layer, y: (value: number) => string): Html {
  if (shape === 'bars') {
    const bars = values.map((value, i) => (value ? `M${i + 0.1} ${HEIGHT}V${y(value)}h.8V${HEIGHT}z` : ''));
    return html`<path class="fill ${colour}" d="${bars.join('')}"/>`;
  }
  const runs = runsOf(values);
  const line = runs.map((run) => `M${run.map(([i, value]) => `${i + 0.5} ${y(value)}`).join('L')}${dot(run)}`);
  const areas = runs.map(
    (run) => `M${run[0]![0] + 0.5} ${HEIGHT}L${run.map(([i, value]) => `${i + 0.5} ${y(value)}`).join('L')}V${HEIGHT}z`,
  );
  return html`${shape === 'area' && html`<path class="wash ${colour}" d="${areas.join('')}"/>`}<path class="line ${colour}" d="${line.join('')}"/>`;
}

type Run = [number, number][];

/** Lines end where nothing is known. */
function runsOf(values: Layer['values']): Run[] {
  const runs: Run[] = [];
  for (const [i, value] of values.entries()) {
    if (value === undefined) continue;
    if (i === 0 || values[i - 1] === undefined) runs.push([]);
    runs.at(-1)!.push([i, value]);
  }
  return runs;
}

/** A single point is a line of no length, which round caps make visible. */
const dot = (run: Run): string => (run.length === 1 ? 'h0' : '');

const readout = (layers: readonly Layer[], i: number, step: number, format: Chart['format']): Html => {
  const told = layers.flatMap(({ name, values }) => (values[i] === undefined ? [] : [`${name} ${format(values[i])}`]));
  return html`<i><b>${[clock(i * step), ...told].join(' · ')}</b></i>`;
};

/** Ticks at 1, 2 or 5 times a power of ten, and the round value above all of which the chart ends. */
function scale(most: number): { top: number; ticks: number[] } {
  const rough = Math.max(most, Number.MIN_VALUE) / TICKS;
  const power = 10 ** Math.floor(Math.log10(most > 0 ? rough : 1));
  const tick = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const steps = Math.max(Math.ceil(most / tick - 0.001), 1);
  return { top: tick * steps, ticks: Array.from({ length: steps + 1 }, (_, i) => tick * i) };
}

/** Columns with a time below them. */
function times(columns: number, step: number): number[] {
  const every = NICE_SECONDS.find((s) => s >= step && s % step === 0 && columns * step <= s * TIMES);
  const apart = every === undefined ? Math.ceil(columns / TIMES) : every / step;
  return Array.from({ length: Math.ceil(columns / apart) }, (_, i) => i * apart);
}

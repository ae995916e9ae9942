import { InvalidArgumentError } from 'commander';
import { STAGES } from './outcome.ts';
import type { Percentiles, Report } from './report.ts';

/** A condition under which a run fails. */
export interface Threshold {
  expression: string;
  /** The metric of a report; undefined when nothing was measured. */
  measure(report: Report): number | undefined;
  exceeds(value: number): boolean;
}

const QUANTILES = ['p50', 'p90', 'p95', 'p99', 'max'] as const satisfies (keyof Percentiles)[];

const COMPARISONS: Readonly<Record<string, (value: number, limit: number) => boolean>> = {
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
};

const EXPRESSION = /^\s*([\w.:-]+)\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?)\s*$/;

const ALLOWED =
  `Give a metric, one of > >= < <=, and a number, such as 'connected.p95>500'. Metrics: ${STAGES.join('|')}|back|live with ` +
  `.${QUANTILES.join('|')} (milliseconds), errors, errors.<code>, packets.lost_percent, sessions.failed_percent.`;

/** Reads what a `--fail` says. @throws {InvalidArgumentError} naming what is allowed */
export function parseThreshold(expression: string): Threshold {
  const [, metric = '', comparison = '', limit = ''] = EXPRESSION.exec(expression) ?? [];
  const measure = measureOf(metric);
  const compare = COMPARISONS[comparison];
  if (!measure || !compare) throw new InvalidArgumentError(ALLOWED);
  return { expression: expression.trim(), measure, exceeds: (value) => compare(value, Number(limit)) };
}

function measureOf(metric: string): Threshold['measure'] | undefined {
  const [name = '', detail, ...more] = metric.split('.');
  if (more.length > 0) return undefined;
  if (metric === 'errors') return ({ sessions }) => sessions.failed;
  if (name === 'errors' && detail) return ({ errors }) => (Object.hasOwn(errors, detail) ? errors[detail] : 0);
  if (metric === 'packets.lost_percent') return ({ packets }) => percent(packets.lost, packets.lost + packets.received);
  if (metric === 'sessions.failed_percent') return ({ sessions }) => percent(sessions.failed, sessions.arrived);
  const quantile = QUANTILES.find((each) => each === detail);
  const way = (['back', 'live'] as const).find((each) => each === name);
  if (way && quantile) return ({ returns }) => (returns?.[way].count ? returns[way][quantile] : undefined);
  const stage = STAGES.find((each) => each === name);
  if (!stage || !quantile) return undefined;
  return ({ timings }) => (timings[stage].count === 0 ? undefined : timings[stage][quantile]);
}

export const percent = (part: number, whole: number): number | undefined =>
  whole === 0 ? undefined : (100 * part) / whole;

/** Why a run fails, in sentences: promises of a token that were broken, and thresholds. */
export function failuresOf(report: Report, thresholds: readonly Threshold[]): string[] {
  const { race, reuse, sessions } = report;
  const held = race && race.oneWinner + race.noWinner + race.severalWinners;
  return [
    ...(race && race.severalWinners > 0 ? [`${race.severalWinners} of ${held} races had several winners`] : []),
    ...(race && race.noWinner > 0 ? [`${race.noWinner} of ${held} races had no winner`] : []),
    ...(race && race.notHeld > 0 ? [`${race.notHeld} races could not be held`] : []),
    ...(reuse && reuse.taken > 0
      ? [`${reuse.taken} of ${reuse.presented} tokens were taken again after their session`]
      : []),
    ...(reuse && reuse.notPresented > 0 ? [`${reuse.notPresented} tokens could not be presented again`] : []),
    ...nothingWorked(sessions),
    ...thresholds.flatMap((threshold) => failureOf(report, threshold)),
  ];
}

/** Percentiles are of those that got through, so that without these a run of which nothing came would pass. */
function nothingWorked({ arrived, offered, failed }: Report['sessions']): string[] {
  if (arrived === 0) return [];
  if (offered === 0) return ['no session got an offer'];
  return failed === arrived ? ['every session failed'] : [];
}

function failureOf(report: Report, { expression, measure, exceeds }: Threshold): string[] {
  const value = measure(report);
  if (value === undefined) return [`${expression}: nothing was measured`];
  return exceeds(value) ? [`${expression}: it was ${Number(value.toFixed(2))}`] : [];
}

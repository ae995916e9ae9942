import type { Packets } from '../peer/peer.ts';
import { isBack } from './losses.ts';
import { type Outcome, STAGES, type Stage } from './outcome.ts';
import { percentiles } from './percentiles.ts';
import type { FailedSession, Percentiles, Report, Second } from './report.ts';

/** What a report says that the outcomes do not. */
export interface Run extends Pick<Report, 'command' | 'startedAt' | 'seconds' | 'urls' | 'options' | 'interrupted'> {
  planned: number;
  /** Clients that presented each token at once; 1 for no race. */
  clientsPerToken: number;
}

/** Counts outcomes together; `failures` are left to who decides. */
export function tally(run: Run, outcomes: readonly Outcome[]): Report {
  const { planned, clientsPerToken, ...said } = run;
  const endReasons = outcomes.flatMap(({ endReason }) => endReason ?? []);
  return {
    ...said,
    sessions: {
      planned,
      arrived: outcomes.length,
      offered: withStage(outcomes, 'offer').length,
      connected: withStage(outcomes, 'connected').length,
      ended: endReasons.length,
      failed: outcomes.filter(({ error }) => error !== undefined).length,
    },
    timings: Object.fromEntries(STAGES.map((stage) => [stage, stagePercentiles(outcomes, stage)])) as Timings,
    lateness: percentiles(outcomes.map(({ lateMs }) => lateMs)),
    packets: outcomes.reduce(addPackets, { sent: 0, received: 0, lost: 0 }),
    errors: countEach(outcomes.flatMap(({ error }) => error ?? [])),
    failedSessions: failedOf(Date.parse(run.startedAt), outcomes),
    endReasons: countEach(endReasons),
    ...(clientsPerToken > 1 && { race: raceOf(clientsPerToken, outcomes) }),
    ...reuseOf(outcomes),
    ...churnOf(outcomes),
    ...returnsOf(outcomes),
    series: seriesOf(outcomes),
    failures: [],
  };
}

type Timings = Record<Stage, Percentiles>;

const stagePercentiles = (outcomes: readonly Outcome[], stage: Stage): Percentiles =>
  percentiles(outcomes.flatMap(({ timings }) => timings[stage] ?? []));

const withStage = (outcomes: readonly Outcome[], stage: Stage): Outcome[] =>
  outcomes.filter(({ timings }) => timings[stage] !== undefined);

const addPackets = (sum: Packets, { packets }: Outcome): Packets => ({
  sent: sum.sent + packets.sent,
  received: sum.received + packets.received,
  lost: sum.lost + packets.lost,
});

/** How often each occurs, the most frequent first. */
export function countEach(names: readonly string[]): Record<string, number> {
  const groups = Object.groupBy(names, (name) => name);
  const counts = Object.entries(groups).map(([name, each]) => [name, each?.length ?? 0] as const);
  return Object.fromEntries(counts.sort(([, a], [, b]) => b - a));
}

const MOST_TOLD = 1000;

function failedOf(startedAt: number, outcomes: readonly Outcome[]): FailedSession[] {
  const told = outcomes.flatMap(({ index, error, failed }) => {
    if (error === undefined || failed === undefined) return [];
    const { atMs, ...where } = failed;
    return { index, error, at: atMs / 1000, time: new Date(startedAt + atMs).toISOString(), ...where };
  });
  return told.sort((a, b) => a.at - b.at).slice(0, MOST_TOLD);
}

function raceOf(contenders: number, outcomes: readonly Outcome[]): Required<Report>['race'] {
  const winners = outcomes.flatMap((outcome) => outcome.winners ?? []);
  const notHeld = outcomes.filter(({ winners, error }) => winners === undefined && error !== 'interrupted');
  return {
    contenders,
    oneWinner: winners.filter((count) => count === 1).length,
    noWinner: winners.filter((count) => count === 0).length,
    severalWinners: winners.filter((count) => count > 1).length,
    notHeld: notHeld.length,
  };
}

function reuseOf(outcomes: readonly Outcome[]): Pick<Report, 'reuse'> {
  const {
    refused = 0,
    taken = 0,
    not_presented: notPresented = 0,
  } = countEach(outcomes.flatMap(({ reuse }) => reuse ?? []));
  const presented = refused + taken;
  return presented + notPresented === 0 ? {} : { reuse: { presented, taken, notPresented } };
}

function churnOf(outcomes: readonly Outcome[]): Pick<Report, 'churn'> {
  const killed = outcomes.flatMap(({ losses = [] }) => losses).filter(({ killed }) => killed);
  if (killed.length === 0) return {};
  return { churn: { killed: killed.length, resumed: killed.filter(isBack).length } };
}

function returnsOf(outcomes: readonly Outcome[]): Pick<Report, 'returns'> {
  const losses = outcomes.flatMap(({ losses = [] }) => losses);
  const rehomed = outcomes.flatMap(({ rehomed = [] }) => rehomed);
  if (losses.length + rehomed.length === 0) return {};
  const { attached = 0, adopted = 0, ...gone } = countEach(losses.map(({ how }) => how));
  const live = [...losses.flatMap(({ liveMs }) => liveMs ?? []), ...rehomed.flatMap(({ liveMs }) => liveMs)];
  return {
    returns: {
      losses: losses.length,
      attached,
      adopted,
      gone,
      rehomed: rehomed.reduce((sum, { times }) => sum + times, 0),
      back: percentiles(losses.flatMap(({ backMs }) => backMs ?? [])),
      live: percentiles(live),
    },
  };
}

const secondOf = (ms: number): number => Math.floor(ms / 1000);

function seriesOf(outcomes: readonly Outcome[]): Second[] {
  const bySecond = Map.groupBy(outcomes, ({ scheduledMs }) => secondOf(scheduledMs));
  const steps = concurrencySteps(outcomes);
  // A long run has more seconds than a function takes arguments.
  const last = [...bySecond.keys(), ...steps.keys()].reduce((a, b) => Math.max(a, b), -1);
  const series: Second[] = [];
  let concurrent = 0;
  for (let at = 0; at <= last; at++) {
    concurrent += steps.get(at) ?? 0;
    series.push({ at, concurrent, ...arrivalsOf(bySecond.get(at) ?? []) });
  }
  return series;
}

/** By how much the number of running sessions changes in each second. */
function concurrencySteps(outcomes: readonly Outcome[]): Map<number, number> {
  const steps = new Map<number, number>();
  const step = (ms: number, by: number) => steps.set(secondOf(ms), (steps.get(secondOf(ms)) ?? 0) + by);
  for (const { scheduledMs, timings, endedMs } of outcomes) {
    if (timings.offer === undefined || endedMs === undefined) continue;
    step(scheduledMs + timings.offer, 1);
    step(endedMs, -1);
  }
  return steps;
}

function arrivalsOf(arrived: readonly Outcome[]): Omit<Second, 'at' | 'concurrent'> {
  const [offer, connected] = [stagePercentiles(arrived, 'offer'), stagePercentiles(arrived, 'connected')];
  return {
    arrived: arrived.length,
    errors: arrived.filter(({ error }) => error !== undefined).length,
    ...(offer.count > 0 && { offer: { p50: offer.p50, p95: offer.p95 } }),
    ...(connected.count > 0 && { connected: { p50: connected.p50, p95: connected.p95 } }),
  };
}

import { STAGES } from './outcome.ts';
import type { Percentiles, Report, Returns } from './report.ts';
import { percent } from './thresholds.ts';
import { count } from './words.ts';

const COLUMNS = ['p50', 'p90', 'p95', 'p99', 'max'] as const;

/** A tester that begins sessions later than this, milliseconds at p95, shows its own limits and not the server's. */
const OUT_OF_BREATH_MS = 50;

/** What a run showed, for people, line by line. */
export function table(report: Report): string[] {
  const { sessions, seconds, command, interrupted } = report;
  return [
    `callgate ${command}: ${count(sessions.arrived)} of ${count(sessions.planned)} sessions in ${seconds.toFixed(1)} s` +
      `${interrupted ? ', interrupted' : ''}`,
    '',
    row('', 'sessions', COLUMNS, 'ms'),
    ...STAGES.map((stage) => stageRow(stage.replace('_', ' '), report.timings[stage])),
    '',
    ...facts(report).map(([name, text]) => `${name.padEnd(14)}${text}`),
    ...complaint(report.lateness),
    '',
    ...(report.failures.length === 0 ? ['passed'] : report.failures.map((failure) => `FAILED  ${failure}`)),
  ];
}

const row = (name: string, sessions: string, cells: readonly string[], unit: string): string =>
  [name.padEnd(14), sessions.padStart(9), ...cells.map((cell) => cell.padStart(9)), `  ${unit}`].join('').trimEnd();

const stageRow = (name: string, percentiles: Percentiles): string =>
  percentiles.count === 0
    ? row(name, '-', [], '')
    : row(
        name,
        count(percentiles.count),
        COLUMNS.map((column) => percentiles[column].toFixed(1)),
        '',
      );

function facts({ sessions, packets, errors, endReasons, race, reuse, churn, returns }: Report): [string, string][] {
  const lost = percent(packets.lost, packets.lost + packets.received);
  const said: [string, string | false | undefined][] = [
    ['offered', `${count(sessions.offered)}, connected ${count(sessions.connected)}, failed ${count(sessions.failed)}`],
    [
      'packets',
      packets.sent + packets.received > 0 &&
        `sent ${count(packets.sent)}, received ${count(packets.received)}, lost ${count(packets.lost)}` +
          `${lost === undefined ? '' : ` (${lost.toFixed(2)} %)`}`,
    ],
    ['ended', list(endReasons)],
    ['errors', list(errors) || 'none'],
    [
      'race',
      race &&
        `${race.contenders} clients per token; one winner ${count(race.oneWinner)}, none ${count(race.noWinner)}, ` +
          `several ${count(race.severalWinners)}, not held ${count(race.notHeld)}`,
    ],
    [
      'reuse',
      reuse &&
        `presented again ${count(reuse.presented)}, taken ${count(reuse.taken)}, ` +
          `not presented ${count(reuse.notPresented)}`,
    ],
    ['churn', churn && `sockets killed ${count(churn.killed)}, resumed ${count(churn.resumed)}`],
    ['returns', returns && returnsText(returns)],
  ];
  return said.flatMap(([name, text]) => (text ? [[name, text] as [string, string]] : []));
}

const returnsText = ({ losses, attached, adopted, gone, rehomed, back, live }: Returns): string =>
  `losses ${count(losses)}: attached ${count(attached)}, adopted ${count(adopted)}, gone ${list(gone) || 'none'}; ` +
  `rehomed ${count(rehomed)}; p95 back ${back.p95.toFixed(1)} ms, live ${live.p95.toFixed(1)} ms`;

function complaint({ p95, max }: Percentiles): string[] {
  if (p95 < OUT_OF_BREATH_MS) return [];
  return [
    `The tester itself began sessions late (p95 ${p95.toFixed(0)} ms, at most ${max.toFixed(0)} ms): it needs more cores.`,
  ];
}

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, times]) => `${name} ${count(times)}`)
    .join(', ');

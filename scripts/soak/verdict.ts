import type { Report } from '../../src/load/report.ts';
import { percent } from '../../src/load/thresholds.ts';
import { median } from '../shared/rates.ts';

/** One look at the server while calls come and go. */
export interface Sample {
  /** Seconds after the start. */
  at: number;
  /** V8's heap right after a collection of garbage. */
  heapMb: number;
  /** Resident memory of the server's process, and of its workers. */
  nodeMb: number;
  workersMb: number;
  sessions: number;
  sockets: number;
  calls: number;
  timers: number;
  /** Event-loop delay since the last sample, p99 in milliseconds. */
  loopMs: number;
  keys: number;
}

/** What there is while no call is under way. */
export interface State {
  sessions: number;
  sockets: number;
  /** Media calls, as the server counts them, and transports, as its workers do. */
  calls: number;
  transports: number;
  /** Timers and open files of the server. */
  timers: number;
  files: number;
  /** Keys in Redis: endpoints with taken places, token records, and all. */
  places: number;
  records: number;
  keys: number;
}

export interface Soak {
  /** Calls that began each second. */
  arrivals: number;
  load: Report;
  samples: readonly Sample[];
  before: State;
  after: State;
}

const LOST_PERCENT = 0.1;
const MUST_BE_GONE = ['sessions', 'sockets', 'calls', 'transports', 'places'] as const satisfies (keyof State)[];

/** How much more memory the last quarter may need than the second; the first one warms up. */
const GROWTH = {
  heapMb: { name: "Node's heap", share: 1.1, plusMb: 2 },
  workersMb: { name: 'resident memory of the workers', share: 1.15, plusMb: 4 },
} as const;

/** Samples without which a quarter's median says nothing. */
const FEWEST = 2;

/** Why a soak fails, in sentences; empty when it passes. */
export function failuresOf({ load, samples, before, after }: Soak): string[] {
  const lost = percent(load.packets.lost, load.packets.lost + load.packets.received) ?? 0;
  const errors = Object.entries(load.errors).map(([code, times]) => `${code} ${times}`);
  const minted = mintedBy(load);
  const grown = after.records - before.records;
  return [
    ...(load.interrupted ? ['it was cut short'] : []),
    ...(errors.length > 0 ? [`errors: ${errors.join(', ')}`] : []),
    ...(lost > LOST_PERCENT ? [`${lost.toFixed(2)}% of the packets were lost`] : []),
    ...MUST_BE_GONE.filter((kind) => after[kind] > 0).map((kind) => `${after[kind]} ${kind} were left over`),
    ...(grown === minted ? [] : [`${minted} tokens were minted and ${grown} records are in Redis`]),
    ...growthOf(samples, 'heapMb'),
    ...growthOf(samples, 'workersMb'),
  ];
}

/** Tokens of a run: one for each session that got one, and one that tries out whether it can begin. */
export const mintedBy = ({ timings }: Report): number => timings.mint.count + 1;

function growthOf(samples: readonly Sample[], kind: keyof typeof GROWTH): string[] {
  const { name, share, plusMb } = GROWTH[kind];
  const [second, last] = [quarter(samples, 1), quarter(samples, 3)];
  if (Math.min(second.length, last.length) < FEWEST) return [`it was too short to tell whether ${name} grows`];
  const [was, is] = [second, last].map((part) => median(part.map((sample) => sample[kind]))) as [number, number];
  return is > was * share + plusMb ? [`${name} grew from ${was.toFixed(1)} to ${is.toFixed(1)} MB`] : [];
}

/** The samples of one quarter of the time, counted from 0. */
function quarter(samples: readonly Sample[], index: number): Sample[] {
  const length = (samples.at(-1)?.at ?? 0) / 4;
  return samples.filter(({ at }) => at > index * length && at <= (index + 1) * length);
}

/** Least-squares slope of a value per minute, over what follows the warm-up. */
export function slopePerMinute(samples: readonly Sample[], kind: 'heapMb' | 'nodeMb' | 'workersMb'): number {
  const points = afterWarmUp(samples).map((sample) => [sample.at / 60, sample[kind]] as const);
  const mean = (axis: 0 | 1) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0) / spread;
}

/** Without the first fifth of the time. */
export const afterWarmUp = (samples: readonly Sample[]): readonly Sample[] =>
  samples.filter(({ at }) => at >= 0.2 * (samples.at(-1)?.at ?? 0));

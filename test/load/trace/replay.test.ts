import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Arrival } from '../../../src/load/plan.ts';
import { seededRandom } from '../../../src/load/random.ts';
import { readSessions } from '../../../src/load/trace/read.ts';
import type { TraceLine } from '../../../src/telemetry/trace-format.ts';
import { criticalDistance, distance } from '../../support/kolmogorov-smirnov.ts';
import { at, report } from '../../support/load-cli.ts';
import { TestServer } from '../../support/server.ts';

const SESSIONS = 500;
const SPEED = 10;
/** How often two samples of one distribution would be told apart by chance. */
const ALPHA = 0.01;
const MEAN_GAP_MS = 90;
const MEDIAN_DURATION_MS = 4500;
const DURATION_SIGMA = 0.7;
/** A session without media must connect within 25 s. */
const LONGEST_MS = 15_000;

/** Calls of most of a minute, with Poisson arrivals and log-normal durations as calls have them. */
function calls(random: () => number): string {
  let at = Date.parse('2026-05-04T09:00:00Z');
  const lines = Array.from({ length: SESSIONS }, (): TraceLine => {
    at += -Math.log(1 - random()) * MEAN_GAP_MS;
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const duration = MEDIAN_DURATION_MS * Math.exp(DURATION_SIGMA * normal);
    return {
      at: new Date(at).toISOString(),
      endpoint_id: 'ep_echo',
      media: [],
      duration_ms: Math.round(Math.min(duration, LONGEST_MS)),
      live_ms: null,
      end_reason: 'completed',
    };
  });
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Where offers are later than this, the machine had no time for the run and would be compared itself: it is run again. */
const CALM_MS = 250;
const MOST_RUNS = 3;
/** Single gaps are 9 ms when they are replayed, which a busy machine blurs; ten together are not. */
const ARRIVALS_A_SPAN = 10;

interface Samples {
  /** When sessions arrived. */
  times: number[];
  /** How long every ten of them took to arrive: evenly spaced ones would differ here. */
  spans: number[];
  durations: number[];
}

/** The samples of a trace, made slower by a factor. */
const samplesOf = (arrivals: readonly Arrival[], factor = 1): Samples => {
  const times = arrivals.map(({ atMs }) => atMs * factor);
  const marks = times.filter((_, i) => i % ARRIVALS_A_SPAN === 0);
  return {
    times,
    spans: marks.slice(1).map((mark, i) => mark - marks[i]!),
    durations: arrivals.map(({ durationMs }) => durationMs * factor),
  };
};

/** Distances as multiples of those that would tell the samples apart. */
const compare = (a: Samples, b: Samples): Record<keyof Samples, number> => ({
  times: judge(a.times, b.times),
  spans: judge(a.spans, b.spans),
  durations: judge(a.durations, b.durations),
});

const judge = (a: readonly number[], b: readonly number[]): number =>
  distance(a, b) / criticalDistance(a.length, b.length, ALPHA);

/** Replays a trace against a server that records another; tells how late its offers were, at p95. */
async function replay(trace: string, again: string, speed: number): Promise<{ replayed: Arrival[]; offerMs: number }> {
  const server = await TestServer.start({ config: { trace: again } });
  const target = at({ urls: [server.running.url], apiKey: server.apiKey });
  const { report: run } = await report('replay', trace, ...target, '--speed', String(speed)).finally(() =>
    server.stop(),
  );
  expect(run.sessions).toMatchObject({ arrived: SESSIONS, offered: SESSIONS, ended: SESSIONS, failed: 0 });
  return { replayed: (await readSessions(again)).arrivals, offerMs: run.timings.offer.p95 };
}

describe('500 sessions that a server has recorded', { timeout: 120_000 }, () => {
  let folder: string;
  let recorded: Arrival[];
  let replayed: Arrival[] = [];
  let offerMs = Number.POSITIVE_INFINITY;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'callgate-replay-'));
    const plan = join(folder, 'plan.jsonl');
    await writeFile(plan, calls(seededRandom(4, 0)));
    const record = join(folder, 'recorded.jsonl');
    ({ replayed: recorded } = await replay(plan, record, 1));
    for (let run = 1; run <= MOST_RUNS && offerMs > CALM_MS; run++) {
      ({ replayed, offerMs } = await replay(record, join(folder, `${run}.jsonl`), SPEED));
    }
  }, 240_000);
  afterAll(() => rm(folder, { recursive: true }));

  it('are recorded again whole when they are replayed', () => {
    expect(replayed).toHaveLength(SESSIONS);
    const kinds = (arrivals: readonly Arrival[]) =>
      arrivals.map(({ endpointId, media, ending }) => `${endpointId} ${media} ${ending}`);
    expect(kinds(replayed)).toEqual(kinds(recorded));
  });

  it('replayed at 10 times speed reproduce the distributions of their arrivals and durations', () => {
    const apart = compare(samplesOf(recorded), samplesOf(replayed, SPEED));
    expect(Math.max(...Object.values(apart)), JSON.stringify({ ...apart, offerMs })).toBeLessThan(1);
  });

  it('would be told from one replayed a third faster or slower, and from evenly spaced sessions', () => {
    for (const factor of [SPEED * 0.75, SPEED / 0.75]) {
      const apart = compare(samplesOf(recorded), samplesOf(replayed, factor));
      expect(apart.times).toBeGreaterThan(1);
      expect(apart.durations).toBeGreaterThan(1);
    }
    const lastMs = recorded.at(-1)!.atMs;
    const even = recorded.map((arrival, i) => ({ ...arrival, atMs: (i * lastMs) / (SESSIONS - 1) }));
    expect(compare(samplesOf(recorded), samplesOf(even)).spans).toBeGreaterThan(1);
  });
});

describe('the Kolmogorov-Smirnov distance', () => {
  it.each([
    [[1, 2, 3], [1, 2, 3], 0],
    [[1, 2, 3], [4, 5], 1],
    [[1, 3, 5, 7], [2, 3, 3, 9], 0.25],
    [[1, 1, 1, 2], [1, 2, 2, 2], 0.5],
  ])('of %j and %j is %f', (a, b, expected) => {
    expect(distance(a, b)).toBe(expected);
    expect(distance(b, a)).toBe(expected);
  });

  it('exceeds the critical one about as often as stated, where the samples are of one distribution', () => {
    const random = seededRandom(7, 0);
    const sample = () => Array.from({ length: 200 }, random);
    const rejected = Array.from(
      { length: 2000 },
      () => distance(sample(), sample()) > criticalDistance(200, 200, 0.05),
    );
    const share = rejected.filter(Boolean).length / rejected.length;
    expect(share).toBeGreaterThan(0.02);
    expect(share).toBeLessThan(0.06);
  });
});

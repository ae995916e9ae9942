import type { Report } from '../../src/load/report.ts';
import type { Media } from '../../src/peer/index.ts';
import type { Tester } from './tester.ts';

const FIRST_RATE = { none: 50, audio: 8, 'audio+video': 4 } as const satisfies Record<Media, number>;
const STEP_SECONDS = 4;
const OFFER_MS = 250;
/** A tester that begins its calls later than this measures itself. */
const LATE_MS = 100;

/** The calls that can begin in a second on this machine, tester included: doubled until it is too much, then by quarters. */
export async function findCapacity(tester: Tester, media: Media, say: (progress: string) => void): Promise<number> {
  let good = 0;
  let tooMuch = Number.POSITIVE_INFINITY;
  let next: number = FIRST_RATE[media];
  while (!tester.stopped && next < tooMuch) {
    const report = await tester.short(next, STEP_SECONDS);
    const problem = problemOf(report);
    const p95 = report.timings.offer.p95.toFixed(0);
    say(`capacity: ${next.toFixed(1)} calls a second, offer p95 ${p95} ms: ${problem ?? 'fine'}`);
    if (problem === undefined) good = next;
    else if (good === 0) throw new Error(`${next} calls a second are too many already: ${problem}`);
    else tooMuch = next;
    next = good * (tooMuch === Number.POSITIVE_INFINITY ? 2 : 1.25);
  }
  return good;
}

function problemOf({ timings, lateness, errors }: Report): string | undefined {
  const codes = Object.keys(errors);
  if (codes.length > 0) return `errors (${codes.join(', ')})`;
  if (timings.offer.p95 > OFFER_MS) return 'too slow';
  return lateness.p95 > LATE_MS ? `the tester is late by ${lateness.p95.toFixed(0)} ms` : undefined;
}

import type { Arrival } from './plan.ts';

/** The arrivals of a run; `loop` repeats them. */
export interface Schedule {
  arrivals: readonly Arrival[];
  loop?: {
    /** Milliseconds from one pass to the next. */
    everyMs: number;
    /** No arrival at or after this; Infinity for a loop that only an interrupt ends. */
    untilMs: number;
  };
}

/** Sessions of one run at most: every one is remembered until the report. */
export const MAX_SESSIONS = 1_000_000;

/** The arrivals that one of several threads takes, in the order of time, with their index in the whole run. */
export function* shareOf(schedule: Schedule, thread: number, threads: number): Generator<[number, Arrival]> {
  for (const [index, arrival] of all(schedule)) {
    if (index % threads === thread) yield [index, arrival];
  }
}

function* all({ arrivals, loop }: Schedule): Generator<[number, Arrival]> {
  for (let index = 0; index < MAX_SESSIONS; index++) {
    const pass = Math.floor(index / arrivals.length);
    const arrival = arrivals[index % arrivals.length];
    if (arrival === undefined || (pass > 0 && loop === undefined)) return;
    const atMs = arrival.atMs + pass * (loop?.everyMs ?? 0);
    if (loop && atMs >= loop.untilMs) return;
    yield [index, { ...arrival, atMs }];
  }
}

/** CPU of a client with media, measured under load: seconds to set one up, and the part of a core that it takes from then on. */
const SET_UP_SECONDS = 0.013;
const SHARE_OF_CORE = { none: 0, audio: 0.0035, 'audio+video': 0.01 } as const;
/** A thread that is busier than this adds waits of its own to what it measures. */
const UTILISATION = 0.6;

/** How many threads the clients of a schedule need; one where there is no media, never more than cores. */
export function threadsFor({ arrivals, loop }: Schedule, cores: number): number {
  const withMedia = arrivals.filter(({ media }) => media !== 'none');
  const busy = withMedia.reduce(
    (sum, { media, durationMs }) => sum + SET_UP_SECONDS + (SHARE_OF_CORE[media] * durationMs) / 1000,
    0,
  );
  // The passes of a loop overlap: what one of them takes is to be done before the next begins.
  const lastsMs =
    loop?.everyMs ?? arrivals.reduce((end, { atMs, durationMs }) => Math.max(end, atMs + durationMs), 1000);
  return Math.max(1, Math.min(cores, Math.ceil(busy / (lastsMs / 1000) / UTILISATION)));
}

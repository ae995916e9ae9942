import type { Media } from '../peer/index.ts';
import { type Arrival, checkTimes, type Ending } from './plan.ts';

export interface ReplayChanges {
  /** How many times faster than recorded. */
  speed: number;
  endpointId?: string | undefined;
  media?: Media | undefined;
}

/** A token's longest duration is told in whole seconds. */
const SECOND_MS = 1000;
/** How far a scaled expiry may be from whole seconds. */
const TOLERANCE = 0.05;

/**
 * Where the recorded time is not cut short, the server's own deadline ends a session that never talks; the client waits for
 * it so much longer.
 */
const DEADLINE_SLACK_MS = 1000;
const DEADLINES: ReadonlySet<Ending> = new Set(['silence', 'unconnected']);

/** Recorded sessions, in the order of their arrival and the first at 0, as they are to be replayed. @throws {UsageError} */
export function planReplay(recorded: readonly Arrival[], { speed, endpointId, media }: ReplayChanges): Arrival[] {
  const arrivals = recorded.map((arrival) => ({
    endpointId: endpointId ?? arrival.endpointId,
    media: media ?? arrival.media,
    atMs: arrival.atMs / speed,
    ...scaledEnd(arrival, speed),
  }));
  checkTimes(arrivals);
  return arrivals;
}

/** Only a whole number of seconds can expire; any other time is ended by a hang-up, so that it is kept. */
function scaledEnd({ durationMs: recordedMs, ending }: Arrival, speed: number): Pick<Arrival, 'durationMs' | 'ending'> {
  const durationMs = recordedMs / speed;
  if (DEADLINES.has(ending) && speed <= 1) return { durationMs: durationMs + DEADLINE_SLACK_MS, ending };
  if (ending !== 'expiry') return { durationMs, ending };
  const expiryMs = Math.max(Math.round(durationMs / SECOND_MS), 1) * SECOND_MS;
  const isClose = Math.abs(expiryMs - durationMs) <= TOLERANCE * durationMs;
  return isClose ? { durationMs: expiryMs, ending } : { durationMs, ending: 'hangup' };
}

/** How long one pass of a loop takes: to the last arrival, and then the usual pause between two. At least a second. */
export function passMs(arrivals: readonly Arrival[]): number {
  const last = arrivals.at(-1)?.atMs ?? 0;
  return Math.max(last + last / Math.max(arrivals.length - 1, 1), 1000);
}

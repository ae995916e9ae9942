import type { Media } from '../peer/index.ts';
import { UsageError } from './usage-error.ts';

/**
 * How a session is made to end: by the client's hang-up; by the server at the token's longest duration; by the backend's
 * revocation; by a socket that breaks and does not come back; by the server because its offer was never answered, or because
 * media never connected.
 */
export type Ending = 'hangup' | 'expiry' | 'revoke' | 'loss' | 'silence' | 'unconnected';

/** One session to be. */
export interface Arrival {
  /** Milliseconds after the start of the run at which its token is asked for. */
  atMs: number;
  endpointId: string;
  media: Media;
  /** How long it is held, counted from its scheduled arrival, in milliseconds. */
  durationMs: number;
  ending: Ending;
}

/** A timer of Node.js that is set for longer is over at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @throws {UsageError} when a session begins so late, or lasts so long, that no timer can wait for it */
export function checkTimes(arrivals: readonly Arrival[]): void {
  if (arrivals.every(({ atMs, durationMs }) => atMs <= LONGEST_TIMER_MS && durationMs <= LONGEST_TIMER_MS)) return;
  throw new UsageError(`no session may begin later, or last longer, than ${LONGEST_TIMER_MS} ms (24.8 days)`);
}

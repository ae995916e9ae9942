import type { Ending } from './plan.ts';

/** How a session came to its end. */
export interface End {
  /** What the server said. */
  reason: string;
  /** How it was to end, and whether the tester was interrupted and hung up instead. */
  planned: Ending;
  interrupted: boolean;
  /** Whether the server ended it before it was asked to. */
  unasked: boolean;
  /** From the presentation of the token to the end, and the longest duration that was asked for. */
  lastedMs: number;
  durationMs: number;
}

const EXPECTED: Readonly<Record<Ending, readonly string[]>> = {
  hangup: ['completed'],
  expiry: ['expired'],
  revoke: ['revoked'],
  loss: [],
  // The server's deadline, or a hang-up if the arrival's own time is over first.
  silence: ['answer_timeout', 'completed'],
  unconnected: ['connect_timeout', 'completed'],
};

/** Ends that a server comes to by itself. */
const DEADLINES: ReadonlySet<string> = new Set(['answer_timeout', 'connect_timeout']);

/** Timers of a server may be off by this much before an expiry counts as too early. */
const EARLY_MS = 100;

/** What is wrong with an end: its reason when that is not the expected one, or `ended_early`. */
export function faultOf({ reason, planned, interrupted, unasked, lastedMs, durationMs }: End): string | undefined {
  const expected = interrupted ? ['completed', ...EXPECTED[planned]] : EXPECTED[planned];
  if (!expected.includes(reason)) return reason;
  const isEarly = reason === 'expired' ? lastedMs < durationMs - EARLY_MS : unasked && !DEADLINES.has(reason);
  return isEarly ? 'ended_early' : undefined;
}

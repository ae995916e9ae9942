import type { Outcome } from '../../src/load/outcome.ts';

/** An outcome of which a test names only what it is about. */
export const outcome = (given: Partial<Outcome> = {}): Outcome => ({
  index: 0,
  scheduledMs: 0,
  timings: {},
  packets: { sent: 0, received: 0, lost: 0 },
  lateMs: 0,
  ...given,
});

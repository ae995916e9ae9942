import { type Arrival, checkTimes } from './plan.ts';

export interface LoadPlan extends Omit<Arrival, 'atMs'> {
  sessions: number;
  /** Arrivals per second. */
  rate: number;
}

/** Arrivals at a steady rate, the first at once: the schedule is open-loop, whatever the server does. @throws {UsageError} */
export function planLoad({ sessions, rate, ...session }: LoadPlan): Arrival[] {
  const arrivals = Array.from({ length: sessions }, (_, index) => ({ ...session, atMs: (index * 1000) / rate }));
  checkTimes(arrivals);
  return arrivals;
}

import type { Arrival } from './plan.ts';

export interface LoadPlan extends Omit<Arrival, 'atMs'> {
  sessions: number;
  /** Arrivals per second. */
  rate: number;
}

/** Arrivals at a steady rate, the first at once: the schedule is open-loop, whatever the server does. */
export const planLoad = ({ sessions, rate, ...session }: LoadPlan): Arrival[] =>
  Array.from({ length: sessions }, (_, index) => ({ ...session, atMs: (index * 1000) / rate }));

import { rate } from '../shared/rates.ts';
import type { BenchServer } from '../shared/server.ts';
import { GateClient, startRequest } from './gate-client.ts';

const IN_FLIGHT = 64;

/** Every session stands this long, so that all of it is there, in the worker too, when it is ended. */
const HELD_MS = 100;

/** Calls until V8 has optimized about everything; a process that has just started costs half as much again. */
export const WARM_UP = 12_000;

interface Call {
  closed: Promise<void>;
  hangUp(): void;
}

/** Sets calls up at the server and ends them. Mints first, which is not what is measured. */
export function opener(server: BenchServer): (count: number) => Promise<() => Promise<number>> {
  const client = new GateClient(server);
  return async (count) => {
    const starts = (await server.mintAll(count)).map((token) => startRequest(token));
    return () => drive(count, (index) => client.open(starts[index]!));
  };
}

/** Sets calls up, a bounded number at a time, and ends each a little later; how many a second. */
export async function drive(count: number, open: (index: number) => Promise<Call>): Promise<number> {
  const since = performance.now();
  const ends: Promise<void>[] = [];
  await rate(count, IN_FLIGHT, async (index) => {
    const call = await open(index);
    ends.push(call.closed);
    setTimeout(() => call.hangUp(), HELD_MS);
  });
  await Promise.all(ends);
  return count / ((performance.now() - since) / 1000);
}

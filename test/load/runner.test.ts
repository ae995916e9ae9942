import { expect, it } from 'vitest';
import type { Outcome } from '../../src/load/outcome.ts';
import type { Arrival } from '../../src/load/plan.ts';
import { Runner } from '../../src/load/runner.ts';

it('hears of a stop while it is behind its schedule', async () => {
  const arrival: Arrival = { atMs: 0, endpointId: 'ep_a', media: 'none', durationMs: 0, ending: 'hangup' };
  const options = { urls: ['http://127.0.0.1:1'], clientsPerToken: 1, reuse: false };
  const schedule = { arrivals: Array<Arrival>(1000).fill(arrival) };
  const outcomes: Outcome[] = [];
  const listener = { over: (outcome: Outcome) => void outcomes.push(outcome), reached: () => {} };
  const runner = new Runner(
    { schedule, options, apiKey: 'none', seed: 1, thread: 0, threads: 1 },
    () => 1000,
    listener,
  );
  setImmediate(() => runner.stop());
  await runner.run();
  expect(outcomes.length).toBeGreaterThan(0);
  expect(outcomes.length).toBeLessThan(100);
});

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { TwoProcesses } from '../support/survival.ts';

/** Without media a call never connects. */
const PATIENT = { session: { connect_timeout_ms: 180_000, answer_timeout_ms: 180_000 } };
const CALLS = 12;
/** Longer than a lease, which is 30 s. */
const FROZEN_MS = 32_000;
const LOAD = `--sessions ${CALLS} --rate 6 --duration 60s --media none --churn 0.05/s --fresh`.split(' ');

let two: TwoProcesses;
afterEach(() => two?.stop());

it('a process that slept longer than its leases leaves what was adopted, and goes on with the rest', {
  timeout: 240_000,
}, async () => {
  two = await TwoProcesses.start(PATIENT);
  const load = two.load(...LOAD);
  await two.burned(CALLS);
  two.freeze(0);
  await sleep(FROZEN_MS);
  two.thaw(0);
  // Each session is held exactly once again, by who has it in its record.
  await expect.poll(() => two.held(), { timeout: 20_000, interval: 500 }).toEqual({ sessions: CALLS, calls: CALLS });
  const { errors, endReasons, returns } = await load;
  expect({ errors, endReasons }).toEqual({ errors: {}, endReasons: { completed: CALLS } });
  expect(returns?.adopted).toBeGreaterThan(0);
  await two.rest();
  const ledger = await two.ledger();
  expect(ledger.broken).toEqual([]);
  expect(ledger.ends).toEqual({ completed: CALLS });
  expect(await two.held()).toEqual({ sessions: 0, calls: 0 });
});

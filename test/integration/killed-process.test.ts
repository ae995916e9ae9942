import { afterEach, expect, it } from 'vitest';
import { TwoProcesses, unaccounted } from '../support/survival.ts';

const CALLS = 150;
const LOAD = `--sessions ${CALLS} --rate 6 --duration 12s --media none --churn 0.1/s --fresh`.split(' ');

let two: TwoProcesses;
afterEach(() => two?.stop());

it('calls outlive the kill of their process, and every one is accounted for', { timeout: 240_000 }, async () => {
  two = await TwoProcesses.start();
  const load = two.load(...LOAD);
  for (const index of [0, 1] as const) {
    await two.burned((index + 1) * (CALLS / 3));
    await two.killAndReplace(index);
  }
  const report = await load;
  await two.rest();
  const ledger = await two.ledger();
  expect(report.returns?.adopted).toBeGreaterThan(0);
  expect(unaccounted(report, ledger)).toEqual([]);
  expect(ledger.ends.completed).toBeGreaterThanOrEqual(report.sessions.ended);
  expect(await two.held()).toEqual({ sessions: 0, calls: 0 });
});

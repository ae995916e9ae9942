import { afterEach, expect, it } from 'vitest';
import { TwoProcesses } from '../support/survival.ts';

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
  const { returns, failedSessions, sessions } = await load;
  await two.rest();
  const ledger = await two.ledger();
  // Who never had a session met a process that was not there.
  const failed = failedSessions.filter(
    ({ step, error }) => error !== 'session_gone' && !/^(mint|socket|offer)$/.test(step),
  );
  expect(failed).toEqual([]);
  const { losses = 0, attached = 0, adopted = 0, gone = {} } = returns ?? {};
  expect(adopted).toBeGreaterThan(0);
  expect(attached + adopted + (gone.session_gone ?? 0)).toBe(losses);
  expect(ledger.broken).toEqual([]);
  expect(ledger.sessions).toBeGreaterThanOrEqual(sessions.offered);
  // A burn whose offer did not come through is nobody's: its client knows of no session.
  const { completed = 0, ...others } = ledger.ends;
  expect(completed).toBeGreaterThanOrEqual(sessions.ended);
  expect(Object.keys(others).filter((how) => how !== 'lapsed' && how !== 'client_lost')).toEqual([]);
  expect(await two.held()).toEqual({ sessions: 0, calls: 0 });
});

// Kills and freezes two processes on one Redis again and again under calls whose sockets are cut, and accounts for every session.
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { parseRate, parseSeed, parseSessions } from '../src/load/options.ts';
import { seededRandom } from '../src/load/random.ts';
import { TwoProcesses, unaccounted } from '../test/support/survival.ts';

/** Longer than a lease, which is 30 s. */
const FROZEN_MS = 32_000;
/** Calls without media never connect. */
const PATIENT = { session: { connect_timeout_ms: 300_000 } };

const { calls, rate, seed } = new Command('survive')
  .description('kills (-9) and freezes two processes on one Redis under calls whose sockets are cut')
  .option('--calls <n>', 'how many', parseSessions, 1000)
  .option('--rate <n>', 'how many begin each second', parseRate, 5)
  .option('--seed <s>', 'makes the choice of faults the same again', parseSeed, 1)
  .parse()
  .opts<{ calls: number; rate: number; seed: number }>();
const random = seededRandom(seed, 0);
const since = performance.now();
const say = (text: string) => console.log(`${((performance.now() - since) / 1000).toFixed(1).padStart(6)} s  ${text}`);

const two = await TwoProcesses.start(PATIENT);
try {
  const options = `--sessions ${calls} --rate ${rate} --duration 20s --media none --churn 0.1/s --fresh --seed ${seed}`;
  say(`callgate load ${options}`);
  let going = true;
  const load = two.load(...options.split(' ')).finally(() => {
    going = false;
  });
  void Promise.allSettled([load]);
  for (await sleep(5000); going; await sleep(5000 + random() * 10_000)) await fault();
  const report = await load;
  await two.rest();
  const ledger = await two.ledger();
  const told = ['burn', 'resume', 'adopt', 'end'].map((event) => `${event} ${ledger.count(event)}`);
  say(`sessions ${JSON.stringify(ledger.ends)}; audit: ${told.join(', ')}`);
  say(`clients ${JSON.stringify(report.returns)}; errors ${JSON.stringify(report.errors)}`);
  const held = await two.held();
  const wrong = unaccounted(report, ledger);
  if (held.sessions + held.calls > 0) wrong.push(`still held: ${JSON.stringify(held)}`);
  for (const sentence of wrong) say(`FAILED  ${sentence}`);
  say(wrong.length === 0 ? 'every call is accounted for' : 'failed');
  process.exitCode = wrong.length === 0 ? 0 : 1;
} finally {
  await two.stop();
}

async function fault(): Promise<void> {
  const index = random() < 0.5 ? 0 : 1;
  const name = 'ab'[index];
  if (random() < 0.7) {
    say(`kill -9 ${name}`);
    return two.killAndReplace(index);
  }
  say(`freeze ${name}`);
  two.freeze(index);
  await sleep(FROZEN_MS);
  two.thaw(index);
  say(`wake ${name}`);
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseRate } from '../../src/load/options.ts';
import { MEDIA, type Media } from '../../src/peer/index.ts';
import { TestRedis } from '../../test/support/redis.ts';
import { describeMachine } from '../shared/machine.ts';
import { BenchServer } from '../shared/server.ts';
import { findCapacity } from './capacity.ts';
import { howToLook, keep, keptIn } from './look.ts';
import { Observer } from './observer.ts';
import { resultTable } from './result.ts';
import { Tester } from './tester.ts';
import { failuresOf, type Soak } from './verdict.ts';

const program = new Command('soak')
  .description('loads a server for minutes at half of its capacity: flat memory, no leak, no errors')
  .option('--minutes <n>', 'how long', parseMinutes, 10)
  .addOption(new Option('--media <media>', 'what each call sends').choices(MEDIA).default('audio'))
  .option('--rate <n>', 'calls that begin each second; default: half of the capacity, which is measured', parseRate)
  .parse();
const { minutes, media, rate } = program.opts<{ minutes: number; media: Media; rate?: number }>();

// Whoever started this has ended: an orderly exit takes along what was started here.
process.once('disconnect', () => process.exit(1));

const redis = await TestRedis.start();
const folder = await mkdtemp(join(tmpdir(), 'callgate-soak-'));
const kept = keptIn(folder);
try {
  await using server = await BenchServer.start(redis.url, 1, kept.serverLog);
  await using tester = await Tester.create(server, media);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => tester.stop());
  const observer = new Observer(server, redis);

  const arrivals = rate ?? (await findCapacity(tester, media, say)) / 2;
  await observer.settle();
  if (!tester.stopped) await report(await soak(tester, observer, arrivals));
} finally {
  await redis.stop();
  if (process.exitCode === 0) await rm(folder, { recursive: true });
}
process.exit(process.exitCode ?? 1);

async function soak(tester: Tester, observer: Observer, arrivals: number): Promise<Soak> {
  const before = await observer.state();
  say(`soak: ${arrivals.toFixed(1)} calls a second of 2 to 5 s, ${media}, for ${minutes} min`);
  const watched = observer.watch(minutes * 60, say);
  const load = await tester.soak(arrivals, minutes * 60).finally(() => watched.stop());
  const samples = await watched.samples;
  say('soak: waiting until all has ended');
  await observer.settle();
  return { arrivals, load, samples, before, after: await observer.state() };
}

async function report(soak: Soak): Promise<void> {
  const failures = failuresOf(soak);
  console.log(`\n${await describeMachine()}\n\n${resultTable(soak)}\n`);
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  if (failures.length > 0) await keep(soak.load, kept);
  if (failures.length > 0) console.log(howToLook(soak.load, kept).join('\n'));
  if (failures.length === 0) console.log('PASSED: memory is flat, nothing is left, nothing went wrong');
  process.exitCode = failures.length === 0 ? 0 : 1;
}

function say(progress: string): void {
  console.error(progress);
}

function parseMinutes(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (!(value >= 1 && value <= 1440)) throw new InvalidArgumentError('Give a number from 1 to 1440.');
  return value;
}

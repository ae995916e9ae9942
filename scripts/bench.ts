// Prints what callgate costs beside the floor of the same run.
import { Command } from 'commander';
import { TestRedis } from '../test/support/redis.ts';
import { benchBurns } from './bench/burns.ts';
import { describeMachine } from './bench/machine.ts';
import type { Row, Setting } from './bench/measure.ts';
import { benchMints } from './bench/mints.ts';
import { benchSessions } from './bench/sessions.ts';
import { benchSignatures } from './bench/signatures.ts';
import { formatTable } from './bench/table.ts';

const BENCHES: Readonly<Record<string, (setting: Setting) => Promise<Row[]>>> = {
  burns: benchBurns,
  mints: benchMints,
  signatures: benchSignatures,
  sessions: benchSessions,
};
const names = Object.keys(BENCHES);

const program = new Command('bench')
  .description('what callgate costs, each figure beside a floor of the same run')
  .option('--quick', 'fewer and shorter runs, for a first look', false)
  .option('--only <names...>', `some of: ${names.join(', ')}`)
  .parse();
const { quick, only = names } = program.opts<{ quick: boolean; only?: string[] }>();
const unknown = only.find((name) => !names.includes(name));
if (unknown !== undefined) program.error(`error: there is no benchmark ${unknown}; there are ${names.join(', ')}`);

const redis = await TestRedis.start();
try {
  const setting: Setting = {
    redisUrl: redis.url,
    rounds: quick ? 1 : 5,
    pick: (full, small) => (quick ? small : full),
    say: (progress) => console.error(progress),
  };
  const rows: Row[] = [];
  for (const name of names) if (only.includes(name)) rows.push(...(await BENCHES[name]!(setting)));
  console.log(`\n${await describeMachine()}; medians of ${setting.rounds}\n\n${formatTable(rows)}`);
} finally {
  await redis.stop();
}

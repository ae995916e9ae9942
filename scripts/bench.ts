// Prints what callgate costs beside the floor of the same run.
import { Command } from 'commander';
import { TestRedis } from '../test/support/redis.ts';
import { benchBurns } from './bench/burns.ts';
import { benchEndings } from './bench/endings.ts';
import { benchFirstMedia } from './bench/first-media.ts';
import { benchHeld } from './bench/held.ts';
import { janusVersion } from './bench/janus/server.ts';
import type { Row, Setting } from './bench/measure.ts';
import { benchMedia } from './bench/media.ts';
import { benchMints } from './bench/mints.ts';
import { benchSessions } from './bench/sessions.ts';
import { benchSignatures } from './bench/signatures.ts';
import { formatTable } from './bench/table.ts';
import { describeMachine } from './shared/machine.ts';

type Bench = (setting: Setting) => Promise<Row[]>;

const WITHOUT_BROWSER: Readonly<Record<string, Bench>> = {
  burns: benchBurns,
  mints: benchMints,
  signatures: benchSignatures,
  sessions: benchSessions,
  held: benchHeld,
  endings: benchEndings,
  media: benchMedia,
};
const IN_BROWSER: Readonly<Record<string, Bench>> = { 'first-media': benchFirstMedia };
const BENCHES = { ...WITHOUT_BROWSER, ...IN_BROWSER };
const names = Object.keys(BENCHES);

const program = new Command('bench')
  .description('what callgate costs, each figure beside a floor of the same run')
  .option('--quick', 'fewer and shorter runs, for a first look', false)
  .option('--browser', 'those that need Chromium as well', false)
  .option('--only <names...>', `some of: ${names.join(', ')}`)
  .parse();
const { quick, browser, only } = program.opts<{ quick: boolean; browser: boolean; only?: string[] }>();
const wanted = only ?? Object.keys(browser ? BENCHES : WITHOUT_BROWSER);
const unknown = wanted.find((name) => !names.includes(name));
if (unknown !== undefined) program.error(`error: there is no benchmark ${unknown}; there are ${names.join(', ')}`);

// An orderly exit takes what was started along.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const redis = await TestRedis.start();
try {
  const setting: Setting = {
    redisUrl: redis.url,
    rounds: quick ? 1 : 5,
    pick: (full, small) => (quick ? small : full),
    say: (progress) => console.error(progress),
  };
  const rows: Row[] = [];
  for (const name of wanted) rows.push(...(await BENCHES[name]!(setting)));
  const janus = await janusVersion();
  const machine = `${await describeMachine()}, ${janus === undefined ? 'no Janus' : `Janus ${janus}`}`;
  console.log(`\n${machine}; medians of ${setting.rounds}\n\n${formatTable(rows)}`);
} finally {
  await redis.stop();
}

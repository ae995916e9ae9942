// Prints what callgate costs beside the floor of the same run. `--quick` takes fewer and shorter runs.
import { availableParallelism, cpus } from 'node:os';
import { TestRedis } from '../test/support/redis.ts';
import { benchBurns } from './bench/burns.ts';
import { printTable } from './bench/measure.ts';
import { benchMints } from './bench/mints.ts';
import { benchSessions } from './bench/sessions.ts';

const quick = process.argv.includes('--quick');
const size = quick
  ? { rounds: 1, burns: 5000, mints: 1500, sessions: 1000, held: 500 }
  : { rounds: 5, burns: 10_000, mints: 4000, sessions: 2000, held: 1500 };

const redis = await TestRedis.start();
try {
  console.log(
    `${cpus()[0]?.model}, ${availableParallelism()} cores, Node ${process.version}; medians of ${size.rounds} runs\n`,
  );
  const rows = [await benchBurns(redis.url, size), await benchMints(redis.url, size)];
  printTable([...rows, ...(await benchSessions(redis.url, size))]);
} finally {
  await redis.stop();
}

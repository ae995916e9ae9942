// npm run simulate -- [--seeds 10000] [--from 1] [--seed 42]

import { parseArgs } from 'node:util';
import { simulate } from './run.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
  },
});

const from = Number(values.seed ?? values.from);
const seeds = values.seed === undefined ? Number(values.seeds) : 1;
let sessions = 0;
let failed = 0;
for (let seed = from; seed < from + seeds; seed++) {
  const run = await simulate(seed);
  sessions += run.sessions;
  if (run.violations.length === 0 && values.seed === undefined) continue;
  if (run.violations.length > 0) failed += 1;
  if (values.seed !== undefined) console.log(run.trace.join('\n'));
  console.log(`seed ${seed}: ${run.violations.join('; ') || 'all is well'}`);
}
console.log(`${seeds} seeds, ${sessions} sessions, ${failed} failed; \`npm run simulate -- --seed <n>\` shows one`);
process.exitCode = failed > 0 ? 1 : 0;

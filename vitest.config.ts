import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// Servers and commands under test are processes, many hundreds of them, which would each compile the same again.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/callgate-compile');

/** Of two cores, a file keeps hardly more than half of one busy. */
const AT_ONCE = 3;
/** These wait more than they work. */
const WAITING = [
  'test/{backend,client,cluster,config,demo,directory,gateway,http,mint,protocol,redis,reference,sdp,session,shared,store,telemetry,tokens}/**/*.test.ts',
  'test/*.test.ts',
];
/** Of those, the ones that start Redis. */
const REDIS = [
  'test/{redis,store}/**/*.test.ts',
  'test/cluster/nodes.test.ts',
  'test/directory/redis-directory.test.ts',
  'test/mint/refresh-retry.test.ts',
  'test/session/finisher.test.ts',
  'test/telemetry/audit*.test.ts',
];
/** A process takes several files, one after another: what a server loads takes longer than most of their tests. */
const SHARED = { isolate: false, maxWorkers: AT_ONCE };
/** Browsers take both cores, and these compare times. */
const ALONE = [
  'test/browser/**/*.test.ts',
  'test/integration/leaks.test.ts',
  'test/integration/recovery.test.ts',
  'test/load/trace/replay.test.ts',
  'test/mint/timing.test.ts',
];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A second, the default, is short for two cores with much to do.
    expect: { poll: { timeout: 10_000 } },
    reporters: ['default', './test/support/second-tries.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'many in a process',
          include: WAITING,
          exclude: [...REDIS, ...ALONE],
          ...SHARED,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'many in a process, with Redis',
          include: REDIS,
          exclude: ALONE,
          retry: 1,
          ...SHARED,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'one in a process',
          include: ['test/**/*.test.ts'],
          exclude: [...WAITING, ...ALONE],
          retry: 1,
          maxWorkers: AT_ONCE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'one at a time',
          include: ALONE,
          retry: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});

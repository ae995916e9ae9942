import { defineConfig } from 'vitest/config';

/** These wait more than they work: three files share two cores well. */
const WAITING = [
  'test/{backend,client,config,demo,directory,gateway,http,mint,protocol,redis,reference,sdp,session,shared,store,telemetry,tokens}/**/*.test.ts',
  'test/*.test.ts',
];
/** Browsers take both cores, and these compare times. */
const ALONE = [
  'test/browser/**/*.test.ts',
  'test/integration/recovery.test.ts',
  'test/load/trace/replay.test.ts',
  'test/mint/timing.test.ts',
];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'three at a time',
          include: WAITING,
          exclude: ALONE,
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'two at a time',
          include: ['test/**/*.test.ts'],
          exclude: [...WAITING, ...ALONE],
          // Servers with media workers, and commands: a core for each file.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'one at a time',
          include: ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});

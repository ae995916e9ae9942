import { defineConfig } from 'vitest/config';

/** These wait more than they work, so that two files share the cores well. */
const SIDE_BY_SIDE = [
  'test/{backend,client,config,demo,directory,gateway,http,mint,protocol,redis,reference,sdp,session,shared,store,telemetry,tokens}/**/*.test.ts',
  'test/*.test.ts',
];
/** This one compares times. */
const ALONE = ['test/mint/timing.test.ts'];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'side by side',
          include: SIDE_BY_SIDE,
          exclude: ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'one by one',
          include: ['test/{browser,docs,integration,load,media,peer,scripts,setup,support}/**/*.test.ts', ...ALONE],
          // Two cores carry a browser, media workers and a Redis at once.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

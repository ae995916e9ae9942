import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores carry a browser, media workers and a Redis at once: files run one after another.
    fileParallelism: false,
    reporters: ['default'],
  },
});

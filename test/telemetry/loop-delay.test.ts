import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestServer } from '../support/server.ts';

const BLOCK_MS = 120;
/** A block that begins in the middle of a tick shows up to one tick shorter. */
const TICK_MS = 10;

describe('the delay of the event loop', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.start();
  });
  afterAll(() => server?.stop());

  const scrape = async (): Promise<string> => (await fetch(server.running.metricsUrl)).text();
  const delays = (text: string): Record<string, number> =>
    Object.fromEntries(
      Array.from(
        text.matchAll(/^callgate_event_loop_delay_seconds\{quantile="(.*)"\} (.*)$/gm),
        ([, quantile, seconds]) => [quantile, Number(seconds)],
      ),
    );

  it('shows a block of 120 ms as its longest, in the scrape after it and in no later one', async () => {
    await scrape();
    const begun = performance.now();
    while (performance.now() - begun < BLOCK_MS);
    await sleep(5 * TICK_MS);
    const blocked = delays(await scrape());
    expect(Object.keys(blocked).sort()).toEqual(['0.5', '0.9', '0.99', '1']);
    // The histogram keeps three significant digits.
    expect(blocked['1']).toBeGreaterThanOrEqual((0.998 * (BLOCK_MS - TICK_MS)) / 1000);
    await sleep(5 * TICK_MS);
    expect(delays(await scrape())['1']).not.toBe(blocked['1']);
  });

  it('does not count the time between two measurements, as those of Node do', async () => {
    const half = async () => delays(await scrape())['0.5'];
    await expect.poll(half, { interval: 20 * TICK_MS, timeout: 10_000 }).toBeLessThan(TICK_MS / 1000);
    expect(await scrape()).not.toContain('nodejs_eventloop_lag');
  });
});

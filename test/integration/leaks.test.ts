import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LoopReport } from '../support/session-loop.ts';

const LOOP = fileURLToPath(new URL('../support/session-loop.ts', import.meta.url));
const megabytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MB`;

describe('a server that has opened and ended 1,000 sessions in every way', () => {
  let report: LoopReport;

  beforeAll(async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', LOOP], { timeout: 240_000 });
    report = JSON.parse(stdout) as LoopReport;
    const { warm, done } = report;
    console.info(
      `heap ${megabytes(warm.heapUsed)} after the warm-up, ${megabytes(done.heapUsed)} after the rest; ` +
        `worker ${megabytes(warm.workerRss)}, ${megabytes(done.workerRss)}; ends ${JSON.stringify(report.reasons)}`,
    );
  }, 250_000);

  it('has ended them in every way', () => {
    expect(Object.keys(report.reasons)).toEqual(
      expect.arrayContaining(['completed', 'expired', 'negotiation_failed', 'answer_timeout', 'none']),
    );
  });

  it('holds no session, socket or call', () => {
    expect(report.done.held).toEqual({ sessions: 0, sockets: 0, calls: 0 });
  });

  it('has no media but its pool of one worker with one router', () => {
    const { media } = report.done;
    expect(media).toEqual({ workers: 1, routers: 1, transports: 0, producers: 0, consumers: 0 });
  });

  it('has no timers, sockets or listeners more than before', () => {
    const { warm, done } = report;
    expect(Object.entries(done.resources).filter(([kind, number]) => number > (warm.resources[kind] ?? 0))).toEqual([]);
    expect(done.listeners).toBe(warm.listeners);
  });

  it('holds no places in the store', () => {
    expect(report.done.places).toBe(0);
  });

  it('has its memory back, within a tenth', () => {
    expect(report.done.heapUsed).toBeLessThan(report.warm.heapUsed * 1.1);
  });

  it('has a worker that does not grow', () => {
    expect(report.done.workerRss).toBeLessThan(report.warm.workerRss * 1.1);
  });
});

import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { WorkerProcess } from '../../src/media/hooks/worker-process.ts';
import { type MediaWorker, startWorker, stopWorker } from '../../src/media/worker.ts';
import { routerCodecs } from '../../src/sdp/codecs.ts';

/** Descriptor of the requests in mediasoup 3.27.1. */
const REQUESTS_FD = 3;

const warnings: unknown[] = [];
const log = { warn: (fields: object) => void warnings.push(fields), error: () => {} };
const workers: MediaWorker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map(({ worker }) => stopWorker(worker)));
  warnings.length = 0;
});

const start = async (): Promise<{ worker: MediaWorker; child: ChildProcess }> => {
  let child: ChildProcess | undefined;
  const onSpawn = (message: unknown) => {
    child = (message as { process: ChildProcess }).process;
  };
  subscribe('child_process', onSpawn);
  try {
    const worker = await startWorker({ mediaCodecs: routerCodecs, log }, ['127.0.0.1'], {});
    workers.push(worker);
    return { worker, child: child! };
  } finally {
    unsubscribe('child_process', onSpawn);
  }
};

/** How many requests each write to the worker carries. */
const countWrites = (requests: Writable): number[] => {
  const counts: number[] = [];
  const { _write, _writev } = requests as Writable & { _writev: NonNullable<Writable['_writev']> };
  requests._write = (...args) => {
    counts.push(1);
    _write.apply(requests, args);
  };
  requests._writev = (chunks, done) => {
    counts.push(chunks.length);
    _writev.call(requests, chunks, done);
  };
  return counts;
};

it('the requests of one turn reach a worker in one write', async () => {
  const { worker, child } = await start();
  await nextTurn();
  const counts = countWrites(child.stdio[REQUESTS_FD] as Writable);
  await Promise.all(Array.from({ length: 20 }, () => worker.worker.getResourceUsage()));
  expect(Math.max(...counts)).toBeGreaterThanOrEqual(20);
  expect(warnings).toEqual([]);
});

it('a worker leaves the signals of the process alone', async () => {
  const before = ['SIGINT', 'SIGTERM'].map((signal) => process.listenerCount(signal));
  await start();
  expect(['SIGINT', 'SIGTERM'].map((signal) => process.listenerCount(signal))).toEqual(before);
  expect(warnings).toEqual([]);
});

it('requests that take another way than was read in mediasoup are warned of, once', async () => {
  const other = new WorkerProcess(4);
  other.check(log);
  other.check(log);
  expect(warnings).toEqual([{ library: 'mediasoup', hook: 'joined requests to workers' }]);
});

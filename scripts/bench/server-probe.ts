// Loaded into the server under test, to see from the inside what no client can.
import { setTimeout as delay } from 'node:timers/promises';
import { observer } from 'mediasoup';
import type { Worker } from 'mediasoup/types';
import { LoopDelay } from '../../src/telemetry/loop-delay.ts';
import { answer } from './ask.ts';

/** Delays of the event loop since the last question, in milliseconds. */
export interface LoopDelays {
  p50: number;
  p99: number;
  max: number;
}

const loop = new LoopDelay();
let workers: Worker[] = [];
let closed = 0;
let awaited: { closed: number; reached(): void } | undefined;

observer.on('newworker', (worker: Worker) => {
  workers.push(worker);
  worker.observer.on('newrouter', (router) =>
    router.observer.on('newtransport', (transport) =>
      transport.observer.once('close', () => {
        closed += 1;
        if (closed === awaited?.closed) awaited.reached();
      }),
    ),
  );
});

answer({
  // Memory that nobody holds any more is not what a session costs.
  collect: async () => {
    globalThis.gc?.();
    await delay(500);
  },
  loop: (): LoopDelays => {
    const taken = new Map(loop.take()?.map(({ quantile, seconds }) => [quantile, seconds * 1000]));
    return { p50: taken.get(0.5) ?? 0, p99: taken.get(0.99) ?? 0, max: taken.get(1) ?? 0 };
  },
  // When this many transports from now on are closed, in the workers too: they answer in order. Epoch milliseconds.
  closed: async (count) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    awaited = { closed: closed + count, reached: resolve };
    await promise;
    workers = workers.filter((worker) => !worker.closed);
    await Promise.allSettled(workers.map((worker) => worker.getResourceUsage()));
    return performance.timeOrigin + performance.now();
  },
});

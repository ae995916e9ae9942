// Loaded into the server under test, to see from the inside what no client can.
import { subscribe } from 'node:diagnostics_channel';
import { setTimeout as delay } from 'node:timers/promises';
import { observer } from 'mediasoup';
import type { Router, Worker } from 'mediasoup/types';
import { LoopDelay } from '../../src/telemetry/loop-delay.ts';
import { answer } from './ask.ts';

/** Delays of the event loop since the last question, in milliseconds. */
export interface LoopDelays {
  p50: number;
  p99: number;
  max: number;
}

/** When so many transports, counted from the question on, were closed; epoch milliseconds. */
export interface Closed {
  inNode: number;
  /** When the worker has said so, and Node has heard it. */
  inWorker: number;
}

const epochMs = () => performance.timeOrigin + performance.now();
const loop = new LoopDelay();
const workers: Worker[] = [];
const routers = new Set<Router>();
let closed = 0;
let awaited: { closed: number; reached(): void } | undefined;

const listening = Promise.withResolvers<void>();
subscribe('tracing:net.server.listen:asyncEnd', () => listening.resolve());

observer.on('newworker', (worker: Worker) => {
  workers.push(worker);
  worker.observer.on('newrouter', (router) => {
    routers.add(router);
    router.observer.once('close', () => routers.delete(router));
    router.observer.on('newtransport', (transport) =>
      transport.observer.once('close', () => {
        closed += 1;
        if (closed === awaited?.closed) awaited.reached();
      }),
    );
  });
});

answer({
  /** Answers once clients can connect. */
  listening: () => listening.promise,
  // Memory that nobody holds any more is not what a session costs.
  collect: async () => {
    globalThis.gc?.();
    await delay(500);
  },
  /** Bytes of V8's heap that are still held. */
  heap: (): number => {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed;
  },
  /** Transports as the workers themselves count them. */
  transports: async (): Promise<number> => {
    const dumps = await Promise.all([...routers].map((router) => router.dump()));
    return dumps.reduce((sum, { transportIds }) => sum + transportIds.length, 0);
  },
  loop: (): LoopDelays => {
    const taken = new Map(loop.take()?.map(({ quantile, seconds }) => [quantile, seconds * 1000]));
    return { p50: taken.get(0.5) ?? 0, p99: taken.get(0.99) ?? 0, max: taken.get(1) ?? 0 };
  },
  closed: async (count): Promise<Closed> => {
    const { promise, resolve } = Promise.withResolvers<number>();
    awaited = { closed: closed + count, reached: () => resolve(epochMs()) };
    const inNode = await promise;
    // Workers answer in order.
    await Promise.allSettled(workers.map((worker) => worker.getResourceUsage()));
    return { inNode, inWorker: epochMs() };
  },
});

import { parentPort, workerData } from 'node:worker_threads';
import { createPeer } from '../peer/index.ts';
import type { Outcome, Stage } from './outcome.ts';
import { Runner, type Task } from './runner.ts';
import type { FromThread, ToThread } from './threads.ts';

/** A message costs more than an outcome does. */
const TELL_EVERY_MS = 250;

const port = parentPort!;
const tell = (message: FromThread) => port.postMessage(message);

let outcomes: Outcome[] = [];
let stages: [Stage, number][] = [];
let startNs = 0n;
/** `process.hrtime` is one clock for all threads; `performance.now` begins anew in each. */
const now = () => Number(process.hrtime.bigint() - startNs) / 1e6;
const task = workerData as Task;
const runner = new Runner(task, now, {
  over: (outcome) => outcomes.push(outcome),
  reached: (stage, ms) => stages.push([stage, ms]),
});

const report = () => {
  tell({ type: 'progress', outcomes, stages, running: runner.running });
  outcomes = [];
  stages = [];
};

port.on('message', async (message: ToThread) => {
  if (message.type === 'stop') return runner.stop();
  startNs = message.startNs;
  const telling = setInterval(report, TELL_EVERY_MS);
  await runner.run();
  clearInterval(telling);
  report();
  tell({ type: 'done' });
  // Nothing is waited for any more: the thread ends when its last sockets have closed.
  port.close();
});

// The first client of a kind loads the WebRTC stack: better before the clock runs than in the first session's latencies.
for (const media of new Set(task.schedule.arrivals.map((arrival) => arrival.media))) {
  const peer = await createPeer(media);
  await peer.close();
}
tell({ type: 'ready' });

import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkerPool } from '../../src/media/workers.ts';
import { routerCodecs } from '../../src/sdp/codecs.ts';

/**
 * A process with two workers that has no file descriptor left when one of them dies, and some again when it has noticed.
 * Prints what became of it; to be run under a low `ulimit -n`.
 */
const errors: string[] = [];
const pool = await WorkerPool.create({
  workers: 2,
  mediaCodecs: routerCodecs,
  listen: { addresses: ['127.0.0.1'] },
  maxCallsPerWorker: 10,
  log: { warn() {}, error: (...entry: unknown[]) => void errors.push(String(entry[1])) },
});
const [lost, kept] = await Promise.all([pool.acquire(), pool.acquire()]);

const descriptors: number[] = [];
const takeAll = () => {
  try {
    for (;;) descriptors.push(openSync('/dev/null', 'r'));
  } catch {}
};
takeAll();
process.kill(pool.workers[0]!.pid, 'SIGKILL');
await once(lost.router.observer, 'close');
while (!errors.some((line) => line.includes('could not be replaced'))) {
  takeAll();
  await sleep(5);
}
const { webRtcServer } = kept;
const transport = await kept.router.createWebRtcTransport({ webRtcServer });
const meanwhile = { workers: pool.workers.length, transports: Number(!transport.closed), ready: pool.ready };
for (const descriptor of descriptors) closeSync(descriptor);
while (pool.workers.length < 2) await sleep(20);
await pool.close();
console.log(JSON.stringify({ meanwhile }));

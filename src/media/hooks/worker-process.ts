// Read in mediasoup 3.27.1: WorkerImpl spawns its process synchronously, writes its requests to descriptor 3 with one `write` each, and
// Node 24 announces the process on the diagnostics channel `child_process`.
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type HookLog, hookMissed } from '../../shared/hook.ts';
import { joinWrites } from '../../shared/join-writes.ts';

/** The descriptor that mediasoup writes its requests to. */
const REQUESTS_FD = 3;

const REQUESTS_OF_A_WRITE = 64;

/** One that was started and does not say that it runs. */
const START_TIMEOUT_MS = 10_000;

/** The process of a worker that mediasoup makes, from its spawn on. */
export class WorkerProcess {
  readonly #fd: number;
  #child: ChildProcess | undefined;
  #spawnError: Error | undefined;
  #requests: Socket | undefined;

  constructor(fd = REQUESTS_FD) {
    this.#fd = fd;
  }

  /** Makes a worker and looks after its process until it runs. */
  async watch<T>(make: () => Promise<T>): Promise<T> {
    const onSpawn = (message: unknown) => this.#spawned((message as { process: ChildProcess }).process);
    subscribe('child_process', onSpawn);
    const making = make();
    unsubscribe('child_process', onSpawn);
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), START_TIMEOUT_MS);
    try {
      return await making;
    } catch (error) {
      // The event comes after what mediasoup throws.
      await nextTurn();
      throw this.#spawnError ?? error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** To be called once a request was answered: warns when it took another way than the one where writes are joined. */
  check(log: HookLog): void {
    if (!this.#requests?.bytesWritten) hookMissed(log, { library: 'mediasoup', hook: 'joined requests to workers' });
  }

  #spawned(child: ChildProcess): void {
    this.#child = child;
    child.once('spawn', () => this.#joinRequests(child));
    // Without a free descriptor `spawn` makes a child without pipes: mediasoup throws before it listens for this.
    child.on('error', (error) => {
      this.#spawnError = error;
    });
  }

  /** The worker reads a stream of messages. */
  #joinRequests({ stdio }: ChildProcess): void {
    const requests = stdio[this.#fd];
    if (!(requests instanceof Socket)) return;
    this.#requests = requests;
    joinWrites(requests, REQUESTS_OF_A_WRITE);
  }
}

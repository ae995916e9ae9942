import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Router, WebRtcServer, Worker } from 'mediasoup/types';
import { type PortRange, requirePorts } from '../config/port-range.ts';
import { CallgateError } from '../errors.ts';
import { type BoundPorts, type ListenSettings, listenAddresses } from './addresses.ts';
import { bindable } from './bindable.ts';
import { logMediasoup, type MediaWorker, startWorker, stopWorker, type WorkerOptions } from './worker.ts';

/** Room for one call on a worker, held until it is released. */
export interface WorkerSlot {
  readonly worker: Worker;
  /** The router that the worker's calls share as long as they have nothing to do with each other. */
  readonly router: Router;
  readonly webRtcServer: WebRtcServer;
  /** Makes a router of its own on the worker; whoever asked for it closes it. */
  createRouter(): Promise<Router>;
  /** Idempotent, also after the worker has died. */
  release(): void;
}

export interface WorkerPoolOptions extends WorkerOptions {
  workers: number;
  listen: ListenSettings;
  /** Where media ports are taken from; the system picks without it. */
  ports?: PortRange | undefined;
  maxCallsPerWorker: number;
}

/** One of the pool's workers, and those that replace it when it dies. */
interface Position {
  current?: RunningWorker | undefined;
  last?: { addresses: readonly string[]; ports: BoundPorts };
  replacing?: Promise<void>;
  /** Deaths in a row that came soon after the start. */
  earlyDeaths: number;
}

interface RunningWorker extends MediaWorker {
  readonly addresses: readonly string[];
  readonly startedAt: number;
  calls: number;
}

/** A worker that lived shorter than this is replaced after a pause that doubles. */
const EARLY_DEATH_MS = 1000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

/** The only maker of mediasoup workers; it replaces those that die, and knows how many calls each has. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #positions: readonly Position[];
  readonly #retired = new AbortController();
  #closed: Promise<void> | undefined;

  /** Starts all workers; rejects with an Error for people when one cannot start, and leaves no process behind then. */
  static async create(options: WorkerPoolOptions): Promise<WorkerPool> {
    if (options.ports !== undefined) requirePorts(options.ports, options.workers);
    const pool = new WorkerPool(options);
    logMediasoup(options.log, () => pool.#retired.signal.aborted);
    const starts = await Promise.allSettled(pool.#positions.map((position) => pool.#start(position)));
    const failed = starts.find((start) => start.status === 'rejected');
    if (failed !== undefined) {
      await pool.close();
      throw failed.reason;
    }
    return pool;
  }

  private constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#positions = Array.from({ length: options.workers }, () => ({ earlyDeaths: 0 }));
  }

  /**
   * Takes a slot on this worker, or on the one with the fewest calls.
   * @throws {CallgateError} `at_capacity`, retryable, when it has none.
   */
  acquire(on?: Worker): WorkerSlot {
    const candidates = this.#running().filter(({ worker }) => on === undefined || worker === on);
    const running = this.#leastLoaded(candidates);
    const { worker, router, webRtcServer } = running;
    running.calls++;
    let held = true;
    return {
      worker,
      router,
      webRtcServer,
      createRouter: () => worker.createRouter({ mediaCodecs: this.#options.mediaCodecs }),
      release() {
        if (held) running.calls--;
        held = false;
      },
    };
  }

  /** Whether any worker is up and answers. */
  get ready(): boolean {
    return this.#running().some(({ heartbeat }) => !heartbeat.silent);
  }

  /** Slots that are taken on living workers. */
  get calls(): number {
    return this.workers.reduce((sum, { calls }) => sum + calls, 0);
  }

  /** Slots of all living workers, taken or not. */
  get capacity(): number {
    return this.#running().length * this.#options.maxCallsPerWorker;
  }

  /** How busy it is, 1 for fully: by slots or by the CPU of its workers, whichever is more. 1 also while none is up. */
  get load(): number {
    const running = this.#running();
    if (running.length === 0) return 1;
    const cpu = running.reduce((sum, { heartbeat }) => sum + heartbeat.cpu, 0) / running.length;
    return Math.max(this.calls / this.capacity, cpu);
  }

  /** The living workers, in a fixed order. */
  get workers(): { pid: number; calls: number }[] {
    return this.#running().map(({ worker, calls }) => ({ pid: worker.pid, calls }));
  }

  /** Local addresses that media comes in on. */
  get addresses(): readonly string[] {
    return this.#running()[0]?.addresses ?? [];
  }

  /** From now on a worker that ends is neither replaced nor an error: a signal to the process group reaches it as well. */
  retire(): void {
    this.#retired.abort();
  }

  /** Closes all workers, and with them all routers; resolves when the subprocesses have ended. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.retire();
    await Promise.all(
      this.#positions.map(async (position) => {
        await position.replacing;
        if (position.current !== undefined) await stopWorker(position.current.worker);
        position.current = undefined;
      }),
    );
  }

  async #start(position: Position): Promise<void> {
    const addresses = await this.#listenAddresses();
    const last = position.last?.addresses.join() === addresses.join() ? position.last.ports : undefined;
    const started = await startWorker(this.#options, addresses, { last, range: this.#options.ports });
    const running = { ...started, addresses, startedAt: performance.now(), calls: 0 };
    position.current = running;
    position.last = { addresses, ports: started.ports };
    started.worker.once('died', (error) => this.#died(position, running, error));
  }

  /** The addresses that the machine has now, unless the settings name them: a laptop may have moved to another network. */
  async #listenAddresses(): Promise<string[]> {
    const { listen } = this.#options;
    const ips = listenAddresses(listen, networkInterfaces());
    return listen.addresses === undefined ? bindable(ips) : ips;
  }

  #died(position: Position, dead: RunningWorker, error: Error): void {
    position.current = undefined;
    // A turn later: the signal that ended it may be the one that stops the server, and this process may get it after that.
    setImmediate(() => this.#replaceDead(position, dead, error));
  }

  #replaceDead(position: Position, dead: RunningWorker, error: Error): void {
    if (this.#retired.signal.aborted) return;
    const early = performance.now() - dead.startedAt < EARLY_DEATH_MS;
    position.earlyDeaths = early ? position.earlyDeaths + 1 : 0;
    // mediasoup's message holds the exit code and the signal.
    this.#options.log.error({ pid: dead.worker.pid, calls: dead.calls, exit: error.message }, 'a media worker died');
    position.replacing = this.#replace(position);
  }

  async #replace(position: Position): Promise<void> {
    for (let failures = position.earlyDeaths; !this.#retired.signal.aborted; failures++) {
      await this.#pause(failures);
      if (this.#retired.signal.aborted) return;
      try {
        return await this.#start(position);
      } catch (err) {
        this.#options.log.error({ err }, 'a media worker could not be replaced; it is tried again');
      }
    }
  }

  async #pause(failures: number): Promise<void> {
    if (failures === 0) return;
    const ms = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
    await delay(ms, undefined, { signal: this.#retired.signal }).catch((error: Error) => {
      if (error.name !== 'AbortError') throw error;
    });
  }

  #leastLoaded(candidates: readonly RunningWorker[]): RunningWorker {
    const [first, ...others] = candidates.filter((running) => this.#hasCapacity(running));
    if (first === undefined) throw atCapacity();
    return others.reduce((best, other) => (other.calls < best.calls ? other : best), first);
  }

  #hasCapacity({ calls, heartbeat }: RunningWorker): boolean {
    return calls < this.#options.maxCallsPerWorker && !heartbeat.silent;
  }

  #running(): RunningWorker[] {
    return this.#positions.flatMap(({ current }) => current ?? []);
  }
}

/** Another process, or this one a moment later, may have a free slot. */
export const atCapacity = (cause?: unknown) => new CallgateError('at_capacity', { retryable: true, cause });

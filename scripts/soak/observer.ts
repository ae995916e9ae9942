import { setTimeout as delay } from 'node:timers/promises';
import type { TestRedis } from '../../test/support/redis.ts';
import { memoryUsed } from '../shared/process-usage.ts';
import type { BenchServer } from '../shared/server.ts';
import type { Sample, State } from './verdict.ts';

const SAMPLE_MS = 5000;
const SAMPLES_PER_LINE = 3;
/** A client that left without a word is lost after half a minute; the rest is for a slow machine. */
const SETTLE_MS = 60_000;

/** Counts endpoints with taken places, and token records: `callgate:{<family>}:<random>`. */
const COUNT_KEYS = `
local places, records = 0, 0
for _, key in ipairs(redis.call('KEYS', 'callgate:{*}:*')) do
  if key:match(':places$') then places = places + 1 end
  if key:match('^callgate:{[^:}]+}:[^:]+$') then records = records + 1 end
end
return {places, records}`;

/** Watches the server from outside and inside while calls come and go. */
export class Observer {
  readonly #server: BenchServer;
  readonly #redis: TestRedis;

  constructor(server: BenchServer, redis: TestRedis) {
    this.#server = server;
    this.#redis = redis;
  }

  /** Waits until nothing is left, or no longer: then `state` tells. */
  async settle(): Promise<void> {
    const until = performance.now() + SETTLE_MS;
    while (performance.now() < until) {
      const { sessions, sockets, calls, transports, places } = await this.state();
      if (sessions + sockets + calls + transports + places === 0) return;
      await delay(500);
    }
  }

  async state(): Promise<State> {
    const metrics = await this.#metrics();
    const [places, records] = await this.#countKeys();
    return {
      sessions: metrics('callgate_sessions'),
      sockets: metrics('callgate_sockets'),
      calls: metrics('callgate_media_calls'),
      transports: await this.#server.ask<number>('transports'),
      timers: metrics('nodejs_active_resources{type="Timeout"}'),
      files: metrics('process_open_fds'),
      places,
      records,
      keys: Number(await this.#redis.cli('DBSIZE')),
    };
  }

  /** Takes a sample every 5 s, for so many seconds or until it is stopped. */
  watch(seconds: number, say: (progress: string) => void): { samples: Promise<Sample[]>; stop(): void } {
    const stopped = new AbortController();
    return { samples: this.#watch(seconds, say, stopped.signal), stop: () => stopped.abort() };
  }

  async #watch(seconds: number, say: (progress: string) => void, signal: AbortSignal): Promise<Sample[]> {
    const since = performance.now();
    const samples: Sample[] = [];
    for (let count = 1; count * SAMPLE_MS <= seconds * 1000; count += 1) {
      const due = since + count * SAMPLE_MS;
      const isDue = await delay(Math.max(due - performance.now(), 0), true, { signal }).catch(() => false);
      if (!isDue) break;
      const sample = await this.#sample((performance.now() - since) / 1000);
      samples.push(sample);
      if (count % SAMPLES_PER_LINE === 0) say(lineOf(sample));
    }
    return samples;
  }

  async #sample(at: number): Promise<Sample> {
    // First the metrics: the collection of garbage, a stop of some ten milliseconds, is none of the server's delays.
    const metrics = await this.#metrics();
    const heapMb = (await this.#server.ask<number>('heap')) / 2 ** 20;
    const { own, children } = memoryUsed(this.#server.pid);
    return {
      at,
      heapMb,
      nodeMb: own / 1024,
      workersMb: children / 1024,
      sessions: metrics('callgate_sessions'),
      sockets: metrics('callgate_sockets'),
      calls: metrics('callgate_media_calls'),
      timers: metrics('nodejs_active_resources{type="Timeout"}'),
      loopMs: metrics('callgate_event_loop_delay_seconds{quantile="0.99"}') * 1000,
      keys: Number(await this.#redis.cli('DBSIZE')),
    };
  }

  async #countKeys(): Promise<[places: number, records: number]> {
    const counts = (await this.#redis.cli('EVAL', COUNT_KEYS, '0')).split('\n').map(Number);
    return counts as [number, number];
  }

  /** Reads /metrics; a series that is not there is 0. */
  async #metrics(): Promise<(series: string) => number> {
    const response = await fetch(`http://127.0.0.1:${this.#server.port + 1}/metrics`);
    const lines = (await response.text()).split('\n');
    return (series) => Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1) ?? 0);
  }
}

function lineOf({ at, sessions, heapMb, nodeMb, workersMb, loopMs, keys }: Sample): string {
  const memory = `heap ${heapMb.toFixed(1)}, Node ${nodeMb.toFixed(1)}, workers ${workersMb.toFixed(1)} MB`;
  return `${at.toFixed(0)} s: ${sessions} sessions, ${memory}, loop p99 ${loopMs.toFixed(1)} ms, ${keys} keys`;
}

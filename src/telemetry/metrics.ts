import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { LoadOutcome } from '../directory/live.ts';
import type { CallErrorCode, EndReason } from '../protocol/codes.ts';
import { LoopDelay } from './loop-delay.ts';

/** What is read at the moment of a scrape. */
export interface Gauges {
  held(): { sessions: number; sockets: number; calls: number };
  storeReady(): boolean;
  mediaReady(): boolean;
  /** Since the start. */
  droppedLogLines(): number;
  /** How many shards of a Redis Cluster take no writes. */
  shardsAway(): number;
  clockSkewMs(): number;
  /** Links to other processes that are up, and clients of this process whose sessions are there. */
  links(): { up: number; streams: number };
}

/** Every metric of one process. Label values come from closed sets only. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #starts: Counter<'outcome'>;
  readonly #ends: Counter<'reason'>;
  readonly #resumes: Counter<'outcome'>;
  readonly #rehomes: Counter;
  readonly #left: Counter;
  readonly #directoryReads: Counter<'outcome'>;
  readonly #auditDropped: Counter;
  readonly #auditLeftOut: Counter;
  readonly #traceDropped: Counter;
  readonly #live: Histogram;
  #loopDelay: LoopDelay | undefined;
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;

  constructor() {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    // They count the 10 ms between two measurements as a delay; ours is below.
    for (const { name } of this.#registry.getMetricsAsArray()) {
      if (name.startsWith('nodejs_eventloop_lag')) this.#registry.removeSingleMetric(name);
    }
    this.#starts = new Counter({
      name: 'callgate_starts_total',
      help: 'Presented starts: burned, or the code of the refusal.',
      labelNames: ['outcome'],
      registers,
    });
    this.#ends = new Counter({
      name: 'callgate_sessions_ended_total',
      help: 'Ended sessions by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.#resumes = new Counter({
      name: 'callgate_resumes_total',
      help: 'Presented resumes: attached, adopted, or the code of the refusal.',
      labelNames: ['outcome'],
      registers,
    });
    this.#rehomes = new Counter({
      name: 'callgate_sessions_rehomed_total',
      help: 'Sessions that went on on another worker, because theirs was gone.',
      registers,
    });
    this.#left = new Counter({
      name: 'callgate_sessions_left_total',
      help: 'Sessions that another process has adopted while this one was taken for dead.',
      registers,
    });
    this.#directoryReads = new Counter({
      name: 'callgate_directory_reloads_total',
      help: 'Versions of the directory that were read: loaded, or refused for their mistakes.',
      labelNames: ['outcome'],
      registers,
    });
    this.#auditDropped = new Counter({
      name: 'callgate_audit_dropped_total',
      help: 'Audit events that the stream could not take; the log has them.',
      registers,
    });
    this.#auditLeftOut = new Counter({
      name: 'callgate_audit_left_out_total',
      help: 'Refusals that are told nowhere, because one address or all together had too many in a minute.',
      registers,
    });
    this.#traceDropped = new Counter({
      name: 'callgate_trace_dropped_total',
      help: 'Sessions that the trace could not take, because its disk is slow or full.',
      registers,
    });
    this.#live = new Histogram({
      name: 'callgate_time_to_live_seconds',
      help: 'From the burn until ICE and DTLS are up.',
      buckets: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25],
      registers,
    });
  }

  /** To be called once, when there is something to read. */
  watch(gauges: Gauges): void {
    const registers = [this.#registry];
    const loopDelay = new LoopDelay();
    this.#loopDelay = loopDelay;
    new Gauge({
      name: 'callgate_event_loop_delay_seconds',
      help: 'How late timers of 10 ms fired since the last scrape; quantile 1 is the latest.',
      labelNames: ['quantile'],
      registers,
      collect() {
        for (const { quantile, seconds } of loopDelay.take()) this.set({ quantile }, seconds);
      },
    });
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    gauge('callgate_sessions', 'Sessions of this process.', () => gauges.held().sessions);
    gauge('callgate_sockets', 'Open WebSockets.', () => gauges.held().sockets);
    gauge('callgate_media_calls', 'Calls that hold a place on a worker.', () => gauges.held().calls);
    gauge('callgate_links', 'Links to other processes that are up.', () => gauges.links().up);
    gauge(
      'callgate_link_streams',
      'Clients of this process whose sessions are at other processes.',
      () => gauges.links().streams,
    );
    gauge('callgate_store_ready', '1 while the token store answers.', () => Number(gauges.storeReady()));
    gauge('callgate_store_shards_away', 'Shards of a Redis Cluster that take no writes.', gauges.shardsAway);
    gauge(
      'callgate_store_clock_skew_seconds',
      "How far the token store's clock is ahead of this process's; of several shards, where they differ most.",
      () => gauges.clockSkewMs() / 1000,
    );
    gauge('callgate_media_ready', '1 while a worker can take calls.', () => Number(gauges.mediaReady()));
    new Counter({
      name: 'callgate_log_lines_dropped_total',
      help: 'Log lines that were dropped, because nobody read them or their disk was full.',
      registers,
      collect() {
        this.reset();
        this.inc(gauges.droppedLogLines());
      },
    });
  }

  started(outcome: 'burned' | CallErrorCode): void {
    this.#starts.inc({ outcome });
  }

  resumed(outcome: 'attached' | 'adopted' | CallErrorCode): void {
    this.#resumes.inc({ outcome });
  }

  rehomed(): void {
    this.#rehomes.inc();
  }

  left(): void {
    this.#left.inc();
  }

  directoryRead(outcome: LoadOutcome): void {
    this.#directoryReads.inc({ outcome });
  }

  auditDropped(): void {
    this.#auditDropped.inc();
  }

  auditLeftOut(): void {
    this.#auditLeftOut.inc();
  }

  traceDropped(lines: number): void {
    this.#traceDropped.inc(lines);
  }

  live(ms: number): void {
    this.#live.observe(ms / 1000);
  }

  ended(reason: EndReason): void {
    this.#ends.inc({ reason });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  close(): void {
    this.#loopDelay?.close();
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisSource } from '../redis/access.ts';
import { createRedis, type RedisClient, reasonOf, type StoreLog } from '../redis/connection.ts';
import { Outage } from '../shared/outage.ts';

export const AUDIT_STREAM = 'callgate:audit';

/** Events that wait while Redis is away; past them the newest are dropped. */
const MAX_QUEUED = 10_000;
/** As many of them may be refusals, which anybody can cause; the rest is kept for what happened to tokens and calls. */
const MAX_REFUSALS = 5_000;
const BATCH = 200;
/** Events of this long go out together, in one command: each command costs more than what it writes. */
const COLLECT_MS = 10;
/** Pause after Redis has refused a batch; a connection that is lost comes back with an event of its own. */
const RETRY_MS = 1000;
const DRAIN_MS = 500;

/** ARGV: the cap, and for each event the number of its names and values, and these. */
const APPEND = `
local i = 2
while i <= #ARGV do
  local n = tonumber(ARGV[i])
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, i + 1, i + n))
  i = i + n + 1
end
`;

export interface AuditStreamOptions {
  log: StoreLog;
  /** Events that the stream keeps, about: Redis trims whole nodes of it. */
  maxLength: number;
  losses: {
    /** An event that the stream will never hold. */
    auditDropped(): void;
  };
}

type Entry = Readonly<Record<string, string | number | undefined>>;

/**
 * Appends events to a capped Redis Stream in the order in which they happened, over a connection of its own, so that the
 * token store never waits for them. An event whose write had no answer is written again: it may be there twice.
 */
export class AuditStream {
  readonly #client: RedisClient;
  readonly #outage: Outage;
  readonly #maxLength: number;
  readonly #losses: AuditStreamOptions['losses'];
  readonly #queue: Entry[] = [];
  #refusals = 0;
  #flushing: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #empty: (() => void) | undefined;
  #closed = false;

  constructor(redis: RedisSource, { log, maxLength, losses }: AuditStreamOptions) {
    this.#outage = new Outage(log, 'audit events are written again');
    this.#maxLength = maxLength;
    this.#losses = losses;
    this.#client = createRedis(redis, {
      warn: (fields) => log.warn(fields, 'the audit stream cannot be reached; events wait'),
    });
    this.#client.on('ready', () => this.#flush());
  }

  /** Never waits and never throws. */
  add(entry: Entry): void {
    const crowded = isRefusal(entry) && this.#refusals >= MAX_REFUSALS;
    if (this.#closed || crowded || this.#queue.length >= MAX_QUEUED) return this.#losses.auditDropped();
    this.#queue.push(entry);
    if (isRefusal(entry)) this.#refusals++;
    if (!this.#retry) this.#flush();
  }

  /** Takes no more; what cannot be written within half a second is dropped. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    if (this.#queue.length > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#empty = resolve;
      const timer = setTimeout(resolve, DRAIN_MS);
      this.#flush();
      await promise;
      clearTimeout(timer);
    }
    this.#client.disconnect();
    await this.#flushing;
    for (const _ of this.#queue.splice(0)) this.#losses.auditDropped();
  }

  #flush(): void {
    if (this.#flushing || this.#client.status !== 'ready') return;
    this.#flushing = this.#drain().finally(() => {
      this.#flushing = undefined;
    });
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.length > 0 && this.#client.status === 'ready') {
        if (this.#queue.length < BATCH) await sleep(COLLECT_MS);
        const batch = this.#queue.slice(0, BATCH);
        await this.#client.eval(APPEND, 1, AUDIT_STREAM, this.#maxLength, ...batch.flatMap(toArguments));
        this.#queue.splice(0, batch.length);
        this.#outage.ended();
        this.#refusals -= batch.filter(isRefusal).length;
      }
      if (this.#queue.length === 0) this.#empty?.();
    } catch (error) {
      if (this.#closed) return;
      this.#outage.began({ reason: reasonOf(error) }, 'audit events could not be written; trying again');
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        this.#flush();
      }, RETRY_MS).unref();
    }
  }
}

const isRefusal = ({ event }: Entry): boolean => event === 'refusal';

function toArguments(entry: Entry): (string | number)[] {
  const fields = Object.entries(entry).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  return [fields.length, ...fields];
}

import type { Latencies } from './latencies.ts';
import type { Outcome, Stage } from './outcome.ts';
import { countEach } from './tally.ts';

/** What is known of a run that goes on. */
export interface Progress {
  elapsedMs: number;
  /** Sessions to be, when that is known. */
  planned: number | undefined;
  running: number;
  /** Of the sessions that are over. */
  outcomes: readonly Outcome[];
  latencies: Latencies;
}

const REDRAW_MS = 500;
const LINE_MS = 5000;
const SHOWN: readonly Stage[] = ['mint', 'offer', 'connected', 'first_packet', 'end'];

/** Shows a run while it goes on: redrawn on a terminal, a plain line now and then elsewhere. */
export class Screen {
  readonly #out: NodeJS.WriteStream;
  readonly #progress: () => Progress;
  readonly #timer: NodeJS.Timeout;
  #drawn = 0;
  #last = { elapsedMs: 0, begun: 0 };

  constructor(out: NodeJS.WriteStream, progress: () => Progress) {
    this.#out = out;
    this.#progress = progress;
    this.#timer = setInterval(() => this.#show(), out.isTTY ? REDRAW_MS : LINE_MS);
  }

  /** Says something above what is redrawn. */
  say(line: string): void {
    this.#erase();
    this.#out.write(`${line}\n`);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#erase();
  }

  #show(): void {
    const lines = this.#lines(this.#progress());
    if (!this.#out.isTTY) return void this.#out.write(`${lines.join('  ')}\n`);
    this.#erase();
    // A line that wrapped would take two rows, of which one would stay.
    for (const line of lines) this.#out.write(`${line.slice(0, this.#out.columns - 1)}\n`);
    this.#drawn = lines.length;
  }

  #lines({ elapsedMs, planned, running, outcomes, latencies }: Progress): string[] {
    const begun = outcomes.length + running;
    const passedMs = Math.max(elapsedMs - this.#last.elapsedMs, 1);
    const rate = (1000 * (begun - this.#last.begun)) / passedMs;
    this.#last = { elapsedMs, begun };
    const of = planned === undefined ? '' : ` of ${planned}`;
    return [
      `${(elapsedMs / 1000).toFixed(0)} s: ${begun}${of} arrived (${rate.toFixed(1)}/s), ${running} running, ${outcomes.length} over`,
      ...stageLine(latencies),
      ...errorLine(outcomes),
    ];
  }

  #erase(): void {
    if (this.#drawn === 0) return;
    this.#out.moveCursor(0, -this.#drawn);
    this.#out.clearScreenDown();
    this.#drawn = 0;
  }
}

function stageLine(latencies: Latencies): string[] {
  const texts = SHOWN.flatMap((stage) => {
    const { count, p50, p95 } = latencies.of(stage);
    return count === 0 ? [] : [`${stage} ${p50.toFixed(0)}/${p95.toFixed(0)}`];
  });
  return texts.length === 0 ? [] : [`p50/p95 ms: ${texts.join(', ')}`];
}

function errorLine(outcomes: readonly Outcome[]): string[] {
  const errors = Object.entries(countEach(outcomes.flatMap(({ error }) => error ?? [])));
  return errors.length === 0 ? [] : [`errors: ${errors.map(([code, times]) => `${code} ${times}`).join(', ')}`];
}

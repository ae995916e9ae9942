import { rm, writeFile } from 'node:fs/promises';
import type { RunOptions } from './caller.ts';
import { Latencies } from './latencies.ts';
import type { Outcome } from './outcome.ts';
import { preflight } from './preflight.ts';
import type { Report } from './report.ts';
import type { Schedule } from './schedule.ts';
import { Screen } from './screen.ts';
import { table } from './table.ts';
import { tally } from './tally.ts';
import { Threads } from './threads.ts';
import { failuresOf, type Threshold } from './thresholds.ts';
import { UsageError } from './usage-error.ts';

/** Where a report goes besides the screen, and what makes it fail. */
export interface ReportOptions {
  /** A file, or `-` for standard output. */
  json: string | undefined;
  /** A file. */
  html: string | undefined;
  thresholds: readonly Threshold[];
}

/** All that one run is made of. */
export interface Job {
  command: Report['command'];
  schedule: Schedule;
  options: RunOptions;
  apiKey: string;
  threads: number;
  seed: number;
  /** What was asked for, in words; no secret. */
  words: string[];
  report: ReportOptions;
}

/** One Ctrl-C can arrive twice, from the terminal and from npm; a later one means now. */
const REPEATED_SIGNAL_MS = 1000;
/** Exit code of a program that a Ctrl-C ended: 128 and the number of SIGINT. */
const INTERRUPTED = 130;

/** Runs, shows and reports. Returns the exit code: 0 passed, 1 failed. @throws {UsageError} when it cannot begin */
export async function run(job: Job): Promise<0 | 1> {
  await tryFiles(job.report);
  const [first] = job.schedule.arrivals;
  if (!first) throw new UsageError('there is no session to run');
  await preflight(job.options.urls, job.apiKey, first.endpointId);
  const report = await measure(job);
  report.failures = failuresOf(report, job.report.thresholds);
  await publish(report, job.report);
  return report.failures.length === 0 ? 0 : 1;
}

/**
 * A report that cannot be written is better known before a long run than after it. Until then an earlier one stays, and none
 * is left where there was none, however the run ends.
 */
async function tryFiles({ json, html }: ReportOptions): Promise<void> {
  for (const file of [json, html]) {
    if (file === undefined || file === '-') continue;
    const isNew = await writeFile(file, '', { flag: 'ax' }).then(
      () => true,
      () => false,
    );
    if (isNew) await rm(file);
    else await write(file, '', 'a');
  }
}

const write = (file: string, text: string, flag: 'a' | 'w' = 'w'): Promise<void> =>
  writeFile(file, text, { flag }).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${file} cannot be written (${error.code})`);
  });

async function measure({ command, schedule, options, apiKey, threads: count, seed, words }: Job): Promise<Report> {
  const outcomes: Outcome[] = [];
  const latencies = new Latencies();
  const threads = await Threads.start({ schedule, options, apiKey, seed }, count, (news) => {
    for (const outcome of news.outcomes) outcomes.push(outcome);
    for (const [stage, ms] of news.stages) latencies.add(stage, ms);
  });
  const planned = schedule.loop ? undefined : schedule.arrivals.length;
  const screen = new Screen(process.stderr, () => {
    return { elapsedMs: threads.elapsedMs, planned, running: threads.running, outcomes, latencies };
  });
  const signals = onInterrupt(() => {
    screen.say('ending the sessions; once more to leave at once');
    threads.stop();
  });
  const startedAt = new Date().toISOString();
  try {
    await threads.run();
  } finally {
    signals.close();
    screen.close();
    await threads.close();
  }
  const about = { command, startedAt, seconds: threads.elapsedMs / 1000, urls: [...options.urls], options: words };
  const { interrupted } = signals;
  return tally(
    { ...about, interrupted, planned: planned ?? outcomes.length, clientsPerToken: options.clientsPerToken },
    outcomes.toSorted((a, b) => a.index - b.index),
  );
}

/** Watches for Ctrl-C (and SIGTERM): the first asks to end, a later one ends the process. */
function onInterrupt(stop: () => void): { readonly interrupted: boolean; close(): void } {
  let since: number | undefined;
  const hear = () => {
    if (since !== undefined && performance.now() - since > REPEATED_SIGNAL_MS) process.exit(INTERRUPTED);
    if (since !== undefined) return;
    since = performance.now();
    stop();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, hear);
  return {
    get interrupted() {
      return since !== undefined;
    },
    close() {
      for (const signal of signals) process.off(signal, hear);
    },
  };
}

/** Standard output is for the table, unless it is for JSON. */
async function publish(report: Report, { json, html }: ReportOptions): Promise<void> {
  const lines = table(report).join('\n');
  if (json === '-') console.error(lines);
  else console.log(lines);
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (json === '-') process.stdout.write(text);
  else if (json !== undefined) await write(json, text);
  if (html === undefined) return;
  const { htmlPage } = await import('./page.ts');
  await write(html, htmlPage(report));
}

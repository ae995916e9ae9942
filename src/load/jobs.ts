import { randomInt } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { loadApiKey } from '../config/api-key.ts';
import { exposedSecrets } from '../config/secret-files.ts';
import { isApiKey } from '../mint/api-keys.ts';
import type { Media } from '../peer/index.ts';
import { readTextFile } from '../shared/text-file.ts';
import { type Churn, churnText } from './churn.ts';
import { planLoad } from './plan-load.ts';
import { passMs, planReplay } from './plan-replay.ts';
import { type Job, run } from './run.ts';
import { type Schedule, threadsFor } from './schedule.ts';
import type { Threshold } from './thresholds.ts';
import { describe } from './trace/describe.ts';
import { UsageError } from './usage-error.ts';

const MAX_KEY_FILE_BYTES = 4096;

interface CommonOptions {
  url?: string[];
  apiKey?: string;
  apiKeyFile?: string;
  race: number;
  reuse?: boolean;
  churn?: Churn;
  fresh?: boolean;
  threads?: number;
  seed?: number;
  json?: string;
  html?: string;
  fail?: Threshold[];
}

export interface LoadOptions extends CommonOptions {
  endpoint: string;
  sessions: number;
  rate: number;
  duration: number;
  media: Media;
  ending: 'hangup' | 'expiry';
}

export interface ReplayOptions extends CommonOptions {
  endpoint?: string;
  media?: Media;
  speed: number;
  loop?: boolean;
  for?: number;
  describe?: boolean;
}

/** `callgate load`. Returns the exit code. @throws {UsageError} */
export async function runLoad(options: LoadOptions): Promise<number> {
  const { endpoint, sessions, rate, duration, media, ending } = options;
  if (ending === 'expiry' && duration % 1000 !== 0)
    throw new UsageError('a token expires after whole seconds: --duration must be such with --ending expiry');
  const arrivals = planLoad({ endpointId: endpoint, sessions, rate, durationMs: duration, media, ending });
  const words = [
    `--endpoint ${endpoint}`,
    `--sessions ${sessions}`,
    `--rate ${rate}/s`,
    `--duration ${duration / 1000}s`,
    `--media ${media}`,
    `--ending ${ending}`,
  ];
  return run({ command: 'load', ...(await commonJob(options, { arrivals }, words)) });
}

/** `callgate replay`. Returns the exit code. @throws {UsageError} */
export async function runReplay(file: string, options: ReplayOptions): Promise<number> {
  const { endpoint, media, speed, loop = false, for: forMs } = options;
  if (forMs !== undefined && !loop) throw new UsageError('--for goes with --loop');
  const { readSessions } = await import('./trace/read.ts');
  const { arrivals: recorded, cutLines } = await readSessions(file);
  if (cutLines > 0) console.error(`${file}: ${cutLines} lines that a killed server has cut are left out`);
  if (options.describe) {
    for (const line of describe(recorded)) console.log(line);
    return 0;
  }
  const arrivals = planReplay(recorded, { speed, endpointId: endpoint, media });
  if (arrivals.some(({ endpointId }) => endpointId === ''))
    throw new UsageError(`${file} does not name the endpoint of every session: name one with --endpoint`);
  const words = [
    file,
    ...(endpoint === undefined ? [] : [`--endpoint ${endpoint}`]),
    ...(media === undefined ? [] : [`--media ${media}`]),
    `--speed ${speed}`,
    ...(loop ? ['--loop'] : []),
    ...(forMs === undefined ? [] : [`--for ${forMs / 1000}s`]),
  ];
  const schedule = {
    arrivals,
    ...(loop && { loop: { everyMs: passMs(arrivals), untilMs: forMs ?? Number.POSITIVE_INFINITY } }),
  };
  await keepTrace(file, options);
  return run({ command: 'replay', ...(await commonJob(options, schedule, words)) });
}

/** What both commands have in common. */
async function commonJob(
  options: CommonOptions,
  schedule: Schedule,
  words: readonly string[],
): Promise<Omit<Job, 'command'>> {
  const { url: urls, race, reuse = false, churn, fresh = false, json, html, fail: thresholds = [] } = options;
  if (!urls) throw new UsageError('--url is missing: the address of a callgate');
  const seed = options.seed ?? randomInt(2 ** 32);
  const threads = options.threads ?? threadsFor(schedule, availableParallelism());
  return {
    schedule,
    apiKey: await apiKeyOf(options),
    options: { urls, clientsPerToken: race, reuse, churn, fresh },
    threads,
    seed,
    words: [
      ...words,
      ...(race > 1 ? [`--race ${race}`] : []),
      ...(reuse ? ['--reuse'] : []),
      ...(churn ? [`--churn ${churnText(churn)}`] : []),
      ...(fresh ? ['--fresh'] : []),
      `--threads ${threads}`,
      `--seed ${seed}`,
      ...thresholds.map(({ expression }) => `--fail '${expression}'`),
    ],
    report: { json, html, thresholds },
  };
}

/** A report must not take the place of what is replayed, by whatever name. */
async function keepTrace(file: string, { json, html }: CommonOptions): Promise<void> {
  const trace = await stat(file);
  for (const report of [json, html]) {
    const there = report === undefined || report === '-' ? undefined : await stat(report).catch(() => undefined);
    if (there?.ino === trace.ino && there.dev === trace.dev)
      throw new UsageError(`${report} is what is replayed: write the report to another file`);
  }
}

/** A file or a variable keeps the key out of the list of processes. */
async function apiKeyOf({ apiKey, apiKeyFile }: CommonOptions): Promise<string> {
  if (apiKey !== undefined) {
    console.error('warning: --api-key shows the key to others on this machine; use CALLGATE_API_KEY or --api-key-file');
  }
  const text = apiKey ?? (apiKeyFile === undefined ? loadApiKey() : await readKey(apiKeyFile));
  if (text === undefined)
    throw new UsageError('the API key is missing: --api-key-file, or the variable CALLGATE_API_KEY');
  const key = text.trim();
  if (!isApiKey(key)) throw new UsageError('the API key is not of the form cgk_<key id>_<secret>');
  return key;
}

async function readKey(path: string): Promise<string> {
  for (const sentence of await exposedSecrets([path])) console.error(`warning: ${sentence}`);
  return readTextFile(path, { maxBytes: MAX_KEY_FILE_BYTES }).catch((error) => {
    throw new UsageError((error as Error).message);
  });
}

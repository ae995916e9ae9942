import { type Command, Option } from 'commander';
import { withoutApiKeys } from '../mint/api-keys.ts';
import { MEDIA } from '../peer/index.ts';
import {
  parseChurn,
  parseClientsPerToken,
  parseDuration,
  parseEndpoint,
  parseRate,
  parseSeed,
  parseSessions,
  parseSpeed,
  parseThreads,
  parseUrl,
} from './options.ts';
import { parseThreshold, type Threshold } from './thresholds.ts';

/** Usage mistakes, and runs that cannot begin. */
const USAGE = 2;

/** Adds `callgate load` and `callgate replay`. What they need is loaded when they run. */
export function addLoadCommands(program: Command): void {
  const load = program
    .command('load')
    .description('run simulated clients against a server at a steady rate, and report what they saw')
    .requiredOption('--endpoint <ep_…>', 'endpoint that is called', parseEndpoint)
    .requiredOption('--sessions <n>', 'how many sessions', parseSessions)
    .requiredOption('--rate <n>', 'how many begin each second, whatever the server does', parseRate)
    .requiredOption('--duration <time>', 'how long each is held, from its scheduled arrival: 10s, 2m', parseDuration)
    .addOption(new Option('--media <media>', 'what each sends').choices(MEDIA).default('audio'))
    .addOption(
      new Option('--ending <ending>', "by the client's hang-up, or by the server at the token's longest duration")
        .choices(['hangup', 'expiry'])
        .default('hangup'),
    );
  addCommonOptions(load);
  load.action((_, command: Command) => start(command, async () => (await import('./jobs.ts')).runLoad(load.opts())));

  const replay = program
    .command('replay <file>')
    .description('replay recorded sessions: the trace of a server (JSON Lines), or CSV of start and duration')
    .option('--endpoint <ep_…>', 'endpoint that is called in place of the recorded ones', parseEndpoint)
    .addOption(new Option('--media <media>', 'what is sent in place of what was recorded').choices(MEDIA))
    .option('--speed <x>', 'so many times faster; durations shrink alike', parseSpeed, 1)
    .option('--loop', 'begin again at the end, until Ctrl-C')
    .option('--for <time>', 'with --loop: begin no session after this time', parseDuration)
    .option('--describe', 'only say what the file holds');
  addCommonOptions(replay);
  replay.action((file: string, _, command: Command) =>
    start(command, async () => (await import('./jobs.ts')).runReplay(file, replay.opts())),
  );
}

function addCommonOptions(command: Command): void {
  command
    .option('--url <url>', 'address of callgate; give several to spread over them', parseUrl)
    .addOption(
      new Option(
        '--api-key-file <path>',
        'file that holds the API key that mints the tokens; default: the variable CALLGATE_API_KEY',
      ).conflicts('apiKey'),
    )
    .option('--api-key <key>', 'the key itself; others on this machine see it while the command starts')
    .option(
      '--race <k>',
      'each token is presented by so many clients at once; exactly one may win',
      parseClientsPerToken,
      1,
    )
    .option('--reuse', 'each token is presented again after its session; it must be refused')
    .option(
      '--churn <p>',
      "kills sockets at random, and resumes: the probability that a session's is killed once, or a rate such as 6/m",
      parseChurn,
    )
    .option('--fresh', 'follow fresh connections: a session then outlives its media worker, and its process')
    .option('--threads <t>', 'default: 1 without media, else as many as it takes, cores at most', parseThreads)
    .option('--seed <s>', 'makes what is random the same again', parseSeed)
    .option('--json <file>', 'write the report as JSON; - is standard output')
    .option('--html <file>', 'write the report as a page')
    .option(
      '--fail <expr>',
      "fail (exit 1) when this holds, such as 'connected.p95>500' or 'errors>0'; may be given several times",
      (text: string, before: readonly Threshold[] = []) => [...before, parseThreshold(text)],
    )
    .configureOutput({ outputError: (text, write) => write(withHint(text)) })
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE));
}

/** Whoever gave an API key in a wrong place is told the right one. */
function withHint(error: string): string {
  const text = withoutApiKeys(error);
  return text === error
    ? error
    : `${text.replace(/\.?\n$/, '.')} An API key goes to --api-key-file or CALLGATE_API_KEY.\n`;
}

async function start(command: Command, work: () => Promise<number>): Promise<void> {
  // Linux shows it in place of the arguments, one of which may be the API key.
  process.title = `callgate ${command.name()}`;
  try {
    process.exitCode = await work();
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'UsageError') throw error;
    command.error(`error: ${error.message}`, { exitCode: USAGE });
  }
}

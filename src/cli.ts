#!/usr/bin/env node
import { hash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Config } from './config/config.ts';
import type { Outcome } from './directory/commands.ts';
import { addLoadCommands } from './load/commands.ts';
import { createApiKey, isApiKey, withoutApiKeys } from './mint/api-keys.ts';
import type { RedisSource } from './redis/access.ts';
import { decodeText } from './shared/text-file.ts';

// Half a second's work is imported by the command that needs it.

/** Two signals closer together than this are one. */
const REPEATED_SIGNAL_MS = 1000;

const program = new Command('callgate')
  .description('The gate for WebRTC calls: one token, one call.')
  .configureOutput({ outputError: (text, write) => write(withoutApiKeys(text)) });

program.command('serve', { isDefault: true }).description('run the server in the foreground').action(serve);

program
  .command('init')
  .description('make what a start of your own needs: settings, tenants with an API key, signing keys')
  .argument('[folder]', 'where to', '.')
  .action(init);

const keys = program.command('keys').description('make keys');
keys
  .command('signing')
  .description('print a JWK set with one new signing key, for CALLGATE_SIGNING_KEYS')
  .addOption(new Option('--alg <alg>', 'algorithm').choices(['EdDSA', 'ES256']).default('EdDSA'))
  .action(async ({ alg }: { alg: 'EdDSA' | 'ES256' }) => {
    const { createKeySet } = await import('./tokens/keys.ts');
    print(JSON.stringify(await createKeySet(alg), null, 2));
  });
keys
  .command('create')
  .description('print a new API key, and the line that goes into the tenants file')
  .argument('<id>', 'names the key', newApiKey)
  .action(({ id, key, sha256 }: ReturnType<typeof newApiKey>) => {
    print(`key (shown once, for your backend): ${key}`);
    print(
      `tenants file, under api_keys:       - { id: ${id}, sha256: ${sha256}, scopes: [CREATE_CALL_TOKEN, READ_CALL_TOKEN] }`,
    );
  });

keys
  .command('hash')
  .description('print the SHA-256 of an API key that is read from standard input, for the tenants file')
  .action(async () => {
    const key = textOf(await buffer(process.stdin)).trim();
    if (!isApiKey(key)) program.error('error: standard input holds no API key, cgk_<key id>_<secret>');
    print(hash('sha256', key, 'hex'));
  });

const directory = program.command('directory').description('the tenants that all processes on one Redis share');
directory
  .command('apply <tenants>')
  .description('check a tenants file and publish it to all processes at once')
  .action((path: string) => tell(async (redis) => (await directoryCommands()).applyDirectory(redis, path)));
directory
  .command('show')
  .description('print what is published; status 1 when nothing is')
  .action(() => tell(async (redis) => (await directoryCommands()).showDirectory(redis)));
directory
  .command('diff <tenants>')
  .description('print what applying a tenants file would change; status 1 when anything would')
  .action((path: string) => tell(async (redis) => (await directoryCommands()).diffDirectory(redis, path)));

program
  .command('nodes')
  .description('list the processes on one Redis')
  .option('--json', 'as JSON')
  .action(({ json = false }: { json?: boolean }) =>
    tell(async (redis) => {
      const { showNodes } = await import('./cluster/commands.ts');
      return { lines: await showNodes(redis, { json }), status: 0 };
    }),
  );

addLoadCommands(program);

async function init(folder: string): Promise<void> {
  const { initFolder } = await import('./config/init.ts');
  const { createKeySet } = await import('./tokens/keys.ts');
  const { key, sha256 } = createApiKey('backend');
  const secrets = { keySet: await createKeySet('EdDSA'), apiKey: { id: 'backend', sha256 } };
  const paths = await initFolder(folder, secrets).catch((error: Error) => {
    if (isDefect(error)) throw error;
    return program.error(`error: ${error.message}`);
  });
  print(initiated(paths, key));
}

async function serve(): Promise<void> {
  const { loadConfig } = await import('./config/config.ts');
  const { config: settings, demo, secretFiles } = loadConfig();
  const config = await withWorker(settings);
  const { exposedSecrets } = await import('./config/secret-files.ts');
  const { createLog } = await import('./telemetry/log.ts');
  const { LogOutput, standardOutput } = await import('./telemetry/log-output.ts');
  const { startServer } = await import('./server.ts');
  const output = new LogOutput(standardOutput());
  process.on('exit', () => output.flushSync());
  const log = createLog(config.log_level, output);
  output.onResumed = (lines) => log.warn({ lines }, 'log lines were dropped: nobody read them, or their disk was full');
  for (const sentence of await exposedSecrets(secretFiles)) log.warn(sentence);
  const server = await startServer({ config, demo, log, droppedLogLines: () => output.dropped });
  if (server.demoKey) output.write(welcome(server.url, server.demoKey));
  let stoppingSince: number | undefined;
  const stop = (signal: NodeJS.Signals) => {
    if (stoppingSince !== undefined) {
      // One Ctrl-C can arrive twice, from the terminal and from npm; a later one means now.
      if (performance.now() - stoppingSince > REPEATED_SIGNAL_MS) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    log.info({ signal }, 'stopping');
    const stopped = server.close().then(
      () => 0,
      (error: unknown) => {
        log.fatal({ err: error }, 'stopping failed');
        return 1;
      },
    );
    void stopped.then((status) => output.close().then(() => process.exit(status)));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
  // The demo belongs to its terminal, and ends with it; a server reads its tenants again.
  process.on('SIGHUP', (signal) => (demo ? stop(signal) : void server.reload()));
}

/** Beside the sources in a checkout, and beside what was compiled of them in the package. */
const WORKER_SETUP = new URL('../scripts/worker/worker.mjs', import.meta.url);

/** Settings that name a media worker: without one it is found, or downloaded or built, which is told on standard error. */
async function withWorker(config: Config): Promise<Config> {
  if (config.media.worker_bin !== undefined) return config;
  const { findWorker } = (await import(WORKER_SETUP.href)) as { findWorker: () => Promise<string> };
  return { ...config, media: { ...config.media, worker_bin: await findWorker() } };
}

function textOf(input: Buffer): string {
  try {
    return decodeText(input, 'standard input');
  } catch (error) {
    return program.error(`error: ${(error as Error).message}`);
  }
}

const directoryCommands = () => import('./directory/commands.ts');

function newApiKey(id: string) {
  try {
    return { id, ...createApiKey(id) };
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

const welcome = (url: string, key: string): string => `
  callgate is up, as a demo on this machine only

    page     ${url}/
    API      ${url}/docs
    API key  ${key}

  The key is new at every start. This mints a token with it:

    curl -s ${url}/v1/call-tokens -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' -d '{"endpoint_id":"ep_echo"}'

  Ctrl-C stops the server.

`;

const initiated = (paths: readonly string[], key: string): string => `made ${paths.join(', ')}

  API key  ${key}
           of team_demo, for your backend. It is shown this once; the tenants file has its SHA-256.

  Start the server with CALLGATE_CONFIG=${paths.at(-1)}, and with REDIS_URL for more than one process.`;

/** What a person can mend is told in a sentence; a defect shows where it is. */
function explain(error: unknown): void {
  console.error(
    isDefect(error) ? error : `callgate cannot start: ${(error as Error).message}${hintFor(error as Error)}`,
  );
  process.exit(1);
}

function isDefect(error: unknown): boolean {
  return !(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError;
}

function hintFor(error: NodeJS.ErrnoException): string {
  return error.code === 'EADDRINUSE' ? '; choose another port with PORT' : '';
}

/** Prints what came of a command on Redis. Its status is like that of diff(1): 1 for a difference, 2 when it failed. */
async function tell(command: (redis: RedisSource) => Promise<Outcome>): Promise<void> {
  const { loadRedis } = await import('./config/config.ts');
  const { readRedisAccess } = await import('./redis/access.ts');
  try {
    const { redis_url, redis } = loadRedis();
    const { lines, status } = await command(readRedisAccess(redis_url, redis));
    for (const line of lines) print(line);
    process.exitCode = status;
  } catch (error) {
    console.error(isDefect(error) ? error : (error as Error).message);
    process.exitCode = 2;
  }
}

function print(text: string): void {
  console.log(text);
}

// A full disk or a reader that has left must not end what is done.
process.stderr.on('error', () => {});
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (code !== 'EPIPE') console.error(`callgate: standard output cannot be written (${code})`);
  process.exitCode = 2;
});

// Last, so that everything above is there when a command runs.
await program.parseAsync().catch(explain);

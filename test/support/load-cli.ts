import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Report } from '../../src/load/report.ts';
import { ENVIRONMENT } from './environment.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A `callgate` command as a process of its own; it is killed if it takes too long. */
export class Command {
  readonly child: ChildProcess;
  readonly done: Promise<CommandResult>;
  #stdout = '';
  #stderr = '';

  /** With `files`, it may have no more file descriptors than so many. */
  constructor(args: readonly string[], files?: number, withinMs = 90_000) {
    const limit = files === undefined ? '' : `ulimit -n ${files} && `;
    const script = `${limit}exec "$0" src/cli.ts "$@"`;
    this.child = spawn('/bin/sh', ['-c', script, process.execPath, ...args], {
      cwd: ROOT,
      env: ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: withinMs,
      killSignal: 'SIGKILL',
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.done = once(this.child, 'close').then(([code]: (number | null)[]) => {
      return { code: code ?? null, stdout: this.#stdout, stderr: this.#stderr };
    });
  }

  get stderr(): string {
    return this.#stderr;
  }
}

/** Runs a command to its end. */
export const callgate = (...args: readonly string[]): Promise<CommandResult> => new Command(args).done;

export interface Target {
  urls: readonly string[];
  apiKey: string;
}

/** The options that say where a run goes. */
export const at = ({ urls, apiKey }: Target): string[] => [
  ...urls.flatMap((url) => ['--url', url]),
  '--api-key',
  apiKey,
];

/** Runs `load` or `replay` to its end, and reads the report that it wrote. */
export async function report(...args: readonly string[]): Promise<CommandResult & { report: Report }> {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-load-'));
  try {
    const file = join(folder, 'report.json');
    const result = await callgate(...args, '--json', file);
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text === '') throw new Error(`no report was written: ${result.stderr}`);
    return { ...result, report: JSON.parse(text) as Report };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

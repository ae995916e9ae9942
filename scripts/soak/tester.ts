import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Report } from '../../src/load/report.ts';
import type { Media } from '../../src/peer/index.ts';
import { type BenchServer, ENDPOINT, LASTING } from '../shared/server.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

/** Calls of the soak last these seconds, in turn: no two neighbours end together. */
const SECONDS = [2, 4.5, 3, 5, 2.5, 4, 3.5] as const;

/** The real load tester in a process of its own, one run at a time. */
export class Tester implements AsyncDisposable {
  readonly #folder: string;
  readonly #common: readonly string[];
  #child: ChildProcess | undefined;
  #stopped = false;

  static async create(server: BenchServer, media: Media): Promise<Tester> {
    const folder = await mkdtemp(join(tmpdir(), 'callgate-soak-'));
    await writeFile(join(folder, 'key'), server.key, { mode: 0o600 });
    return new Tester(folder, server.url, media);
  }

  private constructor(folder: string, url: string, media: Media) {
    this.#folder = folder;
    const endpoint = media === 'audio+video' ? LASTING : ENDPOINT;
    const key = ['--api-key-file', join(folder, 'key')];
    this.#common = ['--url', url, ...key, '--endpoint', endpoint, '--media', media, '--json', '-'];
  }

  /** Whether it was asked to stop. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Calls of 2 s. */
  short(rate: number, seconds: number): Promise<Report> {
    const sessions = Math.ceil(rate * seconds);
    return this.#run('load', '--rate', rate.toFixed(3), '--sessions', String(sessions), '--duration', '2s');
  }

  /** Calls of 2 to 5 s: `load` knows one duration only, so it replays what is written down for it. */
  async soak(rate: number, seconds: number): Promise<Report> {
    const calls = Array.from({ length: Math.floor(rate * seconds) }, (_, i) => {
      return `${(i / rate).toFixed(3)},${SECONDS[i % SECONDS.length]}`;
    });
    const file = join(this.#folder, 'calls.csv');
    await writeFile(file, calls.join('\n'));
    return this.#run('replay', file);
  }

  /** Has the calls end properly; what ran reports what it saw. */
  stop(): void {
    this.#stopped = true;
    this.#child?.kill('SIGINT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #run(...args: string[]): Promise<Report> {
    const child = spawn(process.execPath, [CLI, ...args, ...this.#common], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    try {
      const [said, report] = await Promise.all([text(child.stderr), json(child.stdout).catch(() => undefined)]);
      if (report === undefined) throw new Error(`the load tester did not report: ${said.slice(-2000)}`);
      return report as Report;
    } finally {
      process.off('exit', end);
      this.#child = undefined;
    }
  }
}

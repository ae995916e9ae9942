import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './ports.ts';

const run = promisify(execFile);

/** A Redis in a Cluster also listens this far above its port. */
const CLUSTER_BUS = 10_000;

// A test run that is cut short leaves no server behind.
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

interface SentinelOptions {
  /** Where the Sentinel finds the master. */
  port?: number;
  /** More lines of its configuration. */
  settings?: string[];
  /** Whether the master has any, which are waited for. */
  replicas?: boolean;
}

/** A real redis-server on a free port of loopback, with a directory of its own that goes away with it. */
export class TestRedis {
  readonly port: number;
  readonly #dir: string;
  readonly #args: string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, dir: string, args: string[]) {
    this.port = port;
    this.#dir = dir;
    this.#args = args;
  }

  static async start(...args: string[]): Promise<TestRedis> {
    const dir = await mkdtemp(join(tmpdir(), 'callgate-redis-'));
    return TestRedis.#boot(
      new TestRedis(await freePort(CLUSTER_BUS), dir, ['--save', '', '--repl-diskless-sync-delay', '0', ...args]),
    );
  }

  static async #boot(redis: TestRedis): Promise<TestRedis> {
    try {
      await redis.boot();
    } catch (error) {
      await redis.stop();
      throw error;
    }
    return redis;
  }

  /** A Sentinel on its own that watches `master` under a name and fails over within about a second. */
  static async startSentinel(
    master: TestRedis,
    name: string,
    { port = master.port, settings = [], replicas = true }: SentinelOptions = {},
  ): Promise<TestRedis> {
    const dir = await mkdtemp(join(tmpdir(), 'callgate-sentinel-'));
    const config = join(dir, 'sentinel.conf');
    await writeFile(
      config,
      [
        ...settings,
        `sentinel monitor ${name} 127.0.0.1 ${port} 1`,
        `sentinel down-after-milliseconds ${name} 500`,
        `sentinel failover-timeout ${name} 5000`,
      ].join('\n'),
    );
    const sentinel = await TestRedis.#boot(new TestRedis(await freePort(CLUSTER_BUS), dir, [config, '--sentinel']));
    if (!replicas) return sentinel;
    // One that has not heard from a replica yet has nobody to promote, and tries again only seconds later.
    await sentinel.#until(async () => /master-link-status\s+ok/.test(await sentinel.cli('SENTINEL', 'replicas', name)));
    return sentinel;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}/0`;
  }

  /** Runs one command with redis-cli and returns what it prints. */
  async cli(...args: string[]): Promise<string> {
    const { stdout } = await run('redis-cli', ['-p', String(this.port), ...args]);
    return stdout.trim();
  }

  /** Starts the server; again after `kill`, with the snapshot that it last saved. */
  async boot(): Promise<void> {
    const fixed = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#dir];
    this.#process = spawn('redis-server', [...this.#args, ...fixed], { stdio: 'ignore' });
    running.add(this.#process);
    await this.#until(async () => (await this.cli('PING')) === 'PONG');
  }

  /** Ends the process at once: what was not saved is lost. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    running.delete(child);
  }

  /** The process stays and its sockets stay open, but it does nothing. */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  async follow(master: TestRedis): Promise<void> {
    await this.cli('REPLICAOF', '127.0.0.1', String(master.port));
    await this.#until(async () => (await this.cli('INFO', 'replication')).includes('master_link_status:up'));
  }

  /** Waits until a replica has everything. Not WAIT, which answers for the writes of its own connection only. */
  async replicated(): Promise<void> {
    await this.#until(async () => {
      const info = await this.cli('INFO', 'replication');
      const offset = /^master_repl_offset:(\d+)/m.exec(info)?.[1];
      return [...info.matchAll(/^slave\d+:.*state=online,offset=(\d+)/gm)].some(([, own]) => own === offset);
    });
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #until(condition: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt++) {
      if (await condition().catch(() => false)) return;
      await sleep(50);
    }
    throw new Error(`redis-server on port ${this.port} did not get there in 10 s`);
  }
}

/** Three masters with a replica each. */
export async function startCluster(): Promise<{ nodes: TestRedis[]; url: string; stop: () => Promise<void> }> {
  const nodes = await Promise.all(
    Array.from({ length: 6 }, () =>
      TestRedis.start('--cluster-enabled', 'yes', '--cluster-node-timeout', '2000', '--cluster-port', '0'),
    ),
  );
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  try {
    await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes']);
    for (const node of nodes) {
      while (!(await node.cli('CLUSTER', 'INFO')).includes('cluster_state:ok')) await sleep(50);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes, url: `redis+cluster://${addresses.join(',')}`, stop };
}

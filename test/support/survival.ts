import { setTimeout as sleep } from 'node:timers/promises';
import { showNodes } from '../../src/cluster/commands.ts';
import type { Report } from '../../src/load/report.ts';
import { Deployment } from './deployment.ts';
import { Ledger } from './ledger.ts';
import { at, Command } from './load-cli.ts';
import { freePort } from './ports.ts';
import { TestRedis } from './redis.ts';
import type { ServerProcess } from './server-process.ts';

const ENDPOINTS = `
      - { id: ep_echo, flow: flow_a, webrtc: true, target: { kind: echo }, max_sessions: 100000 }`;

const PATIENCE_MS = 90_000;
const LOAD_WITHIN_MS = 600_000;

/** Two processes, each on a port of its own that its successors have too, on one Redis. */
export class TwoProcesses {
  readonly redis: TestRedis;
  readonly deployment: Deployment;
  readonly servers: [ServerProcess, ServerProcess];
  /** Ids of those that were killed. */
  readonly killed: string[] = [];
  readonly #frozen = new Set<0 | 1>();

  /** Takes over the Redis that it is given; `url` is how the processes find it, where that is another way. */
  static async start(
    settings: Readonly<Record<string, object>> = {},
    redis?: TestRedis,
    url?: string,
  ): Promise<TwoProcesses> {
    const own = redis ?? (await TestRedis.start());
    const deployment = await Deployment.create({ redisUrl: url ?? own.url, endpoints: ENDPOINTS, settings });
    try {
      const a = await startNamed(deployment, 'a', await freePort(1));
      const b = await startNamed(deployment, 'b', await freePort(1));
      return new TwoProcesses(own, deployment, [a, b]);
    } catch (error) {
      await deployment.stop();
      await own.stop();
      throw error;
    }
  }

  private constructor(redis: TestRedis, deployment: Deployment, servers: [ServerProcess, ServerProcess]) {
    this.redis = redis;
    this.deployment = deployment;
    this.servers = servers;
  }

  get urls(): string[] {
    return this.servers.map(({ url }) => url);
  }

  /** Runs the load tester against both. */
  async load(...options: string[]): Promise<Report> {
    const target = { urls: this.urls, apiKey: this.deployment.apiKey };
    const args = ['load', ...at(target), '--endpoint', 'ep_echo', '--json', '-', ...options];
    const { stdout, stderr } = await new Command(args, undefined, LOAD_WITHIN_MS).done;
    if (stdout === '') throw new Error(`no report was written: ${stderr}`);
    return JSON.parse(stdout) as Report;
  }

  /** The id that a process has on this Redis. */
  async idOf(index: 0 | 1): Promise<string> {
    const nodes = JSON.parse((await showNodes(this.redis.url, { json: true })).join('\n')) as {
      id: string;
      name: string;
      age_ms: number;
    }[];
    const [newest] = nodes.filter(({ name }) => name === 'ab'[index]).sort((x, y) => x.age_ms - y.age_ms);
    return newest!.id;
  }

  /** Resolves when so many tokens were burned in all. */
  async burned(sessions: number): Promise<void> {
    await until(async () => (await this.ledger()).sessions >= sessions);
  }

  /** Resolves when no session is alive any more: all have ended, or their leases have lapsed. */
  async rest(): Promise<void> {
    await until(async () => (await this.ledger()).alive.length === 0);
  }

  /** kill -9, and another process in its place. */
  async killAndReplace(index: 0 | 1): Promise<void> {
    const dead = this.servers[index];
    this.killed.push(await this.idOf(index));
    dead.signal('SIGKILL');
    await dead.exited;
    this.servers[index] = await startNamed(this.deployment, 'ab'[index]!, Number(new URL(dead.url).port));
  }

  /** The process does nothing any more; its sockets, and its media workers, stay as they are. */
  freeze(index: 0 | 1): void {
    process.kill(this.servers[index].pid, 'SIGSTOP');
    this.#frozen.add(index);
  }

  thaw(index: 0 | 1): void {
    process.kill(this.servers[index].pid, 'SIGCONT');
    this.#frozen.delete(index);
  }

  ledger(): Promise<Ledger> {
    return Ledger.read(this.redis.url, this.killed);
  }

  /** Sessions and media calls that both processes hold. */
  async held(): Promise<{ sessions: number; calls: number }> {
    const texts = await Promise.all(this.servers.map(async (server) => (await fetch(await metricsOf(server))).text()));
    const sum = (name: string) =>
      texts.reduce((total, text) => total + Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1]), 0);
    return { sessions: sum('callgate_sessions'), calls: sum('callgate_media_calls') };
  }

  async stop(): Promise<void> {
    for (const index of this.#frozen) this.thaw(index);
    await this.deployment.stop();
    await this.redis.stop();
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await sleep(500)) {
    if (await condition()) return;
  }
  throw new Error('it did not come to that in time');
}

/**
 * Who never had a session met a process that was not there; who hung up at one that sleeps is not answered; and what is gone is
 * counted.
 */
const TOLD = /^(?:(?:mint|socket|offer) .*|end timeout|\w+ session_gone)$/;

/** A sentence for each call of a run that is not accounted for. */
export function unaccounted({ failedSessions, returns, sessions }: Report, ledger: Ledger): string[] {
  const failed = failedSessions
    .filter(({ step, error }) => !TOLD.test(`${step} ${error}`))
    .map(({ sessionId, error, step }) => `${sessionId}: ${error} at ${step}`);
  const { losses = 0, attached = 0, adopted = 0, gone = {} } = returns ?? {};
  const back = attached + adopted + (gone.session_gone ?? 0);
  // A burn whose offer did not come through is nobody's: its client knows of no session.
  const odd = Object.keys(ledger.ends).filter((how) => !/^(completed|lapsed|client_lost)$/.test(how));
  return [
    ...failed,
    ...ledger.broken,
    ...odd.map((how) => `${ledger.ends[how]} sessions ended as ${how}`),
    ...(back === losses ? [] : [`${losses} sockets were lost, and ${back} are accounted for`]),
    ...(ledger.sessions >= sessions.offered ? [] : [`${sessions.offered} were offered, ${ledger.sessions} burned`]),
  ];
}

const startNamed = (deployment: Deployment, name: string, port: number): Promise<ServerProcess> =>
  deployment.server({ CALLGATE_NODE_NAME: name, PORT: String(port), LOG_LEVEL: 'info' });

const metricsOf = async (server: ServerProcess): Promise<string> => {
  const [, url = ''] = await server.printed(/"metrics":"([^"]+)"/);
  return url.endsWith('/metrics') ? url : `${url}/metrics`;
};

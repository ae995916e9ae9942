import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createApiKey } from '../../src/mint/api-keys.ts';
import { createKeySet } from '../../src/tokens/keys.ts';
import { freePort } from '../../test/support/ports.ts';
import { ask } from './ask.ts';
import { post } from './post.ts';
import { rate } from './rates.ts';

const PROBE = new URL('./server-probe.ts', import.meta.url).href;
const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const MINTS_IN_FLIGHT = 32;

/** Audio echoes, on a flow that can be closed. */
export const ENDPOINT = 'ep_bench';
/** An echo of audio and video, on a flow that stays. */
export const LASTING = 'ep_lasting';

/** The real server in a process of its own, or in several that share a port, with the probe inside. */
export class BenchServer implements AsyncDisposable {
  readonly port: number;
  /** An API key that may mint. */
  readonly key: string;
  readonly #children: readonly ChildProcess[];
  readonly #tenants: Tenants;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MINTS_IN_FLIGHT });

  /** `log` is a file that gets what is logged, from `info` on; without it only errors are, on standard output. */
  static async start(redisUrl: string, processes = 1, log?: string): Promise<BenchServer> {
    const folder = await mkdtemp(join(tmpdir(), 'callgate-bench-'));
    const { key, sha256 } = createApiKey('bench');
    const tenants = new Tenants(folder, sha256);
    const port = await freePort(1);
    await tenants.write('live');
    await writeFile(join(folder, 'callgate.yaml'), configFor(redisUrl, port, processes > 1));
    await writeFile(join(folder, 'keys.json'), JSON.stringify(await createKeySet('EdDSA')), { mode: 0o600 });
    const env = {
      ...process.env,
      CALLGATE_CONFIG: join(folder, 'callgate.yaml'),
      CALLGATE_TENANTS: tenants.path,
      CALLGATE_SIGNING_KEYS: join(folder, 'keys.json'),
      ...(log !== undefined && { LOG_LEVEL: 'info' }),
    };
    const output = log === undefined ? 'inherit' : openSync(log, 'a');
    const children = Array.from({ length: processes }, () =>
      spawn(process.execPath, ['--expose-gc', '--import', PROBE, CLI, 'serve'], {
        env,
        stdio: ['ignore', output, 'inherit', 'ipc'],
      }),
    );
    if (output !== 'inherit') closeSync(output);
    const server = new BenchServer({ children, port, key, tenants });
    await server.#ready();
    return server;
  }

  private constructor(parts: { children: readonly ChildProcess[]; port: number; key: string; tenants: Tenants }) {
    this.#children = parts.children;
    this.port = parts.port;
    this.key = parts.key;
    this.#tenants = parts.tenants;
  }

  /** Of the first process. */
  get pid(): number {
    return this.#first.pid!;
  }

  get pids(): number[] {
    return this.#children.map(({ pid }) => pid!);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Asks the probe of the first process. */
  ask<T>(wish: string, count = 0): Promise<T> {
    return ask<T>(this.#first, wish, count);
  }

  async mint(endpoint = ENDPOINT, maxDurationSeconds = 3600): Promise<string> {
    const body = { endpoint_id: endpoint, ttl_seconds: 600, max_duration_seconds: maxDurationSeconds };
    const answer = await post(this.#agent, `${this.url}/v1/call-tokens`, JSON.stringify(body), this.key);
    return (JSON.parse(answer) as { token: string }).token;
  }

  async mintAll(count: number, maxDurationSeconds?: number): Promise<string[]> {
    const tokens: string[] = [];
    await rate(count, MINTS_IN_FLIGHT, async (index) => {
      tokens[index] = await this.mint(ENDPOINT, maxDurationSeconds);
    });
    return tokens;
  }

  /** Has the flow of `ENDPOINT` closed, which ends its sessions. */
  async closeFlow(): Promise<void> {
    await this.#tenants.write('closed');
    this.#signal('SIGHUP');
  }

  /** Opens it again; resolves when it is open. */
  async openFlow(): Promise<void> {
    await this.#tenants.write('live');
    this.#signal('SIGHUP');
    for (let tries = 0; tries < 100; tries += 1) {
      const taken = await this.mint().then(
        () => true,
        () => delay(100, false),
      );
      if (taken) return;
    }
    throw new Error('the flow did not open again');
  }

  /** Begins a graceful stop. */
  terminate(): void {
    this.#signal('SIGTERM');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    const exits = this.#children.filter(isRunning).map((child) => once(child, 'exit'));
    this.terminate();
    await Promise.all(exits);
    await rm(this.#tenants.folder, { recursive: true, force: true });
  }

  get #first(): ChildProcess {
    return this.#children[0]!;
  }

  #signal(signal: NodeJS.Signals): void {
    for (const child of this.#children) child.kill(signal);
  }

  async #ready(): Promise<void> {
    // On a shared port one process may answer for another.
    await Promise.all(this.#children.map((child) => ask(child, 'listening')));
    for (let tries = 0; tries < 300; tries += 1) {
      if (!this.#children.every(isRunning)) throw new Error('the server ended at its start');
      const response = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (response?.ok) return;
      await delay(100);
    }
    throw new Error('the server did not become ready');
  }
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null;

// Sessions are negotiated and never connected, so that they must not have to connect.
const configFor = (redisUrl: string, port: number, reusePort: boolean): string => `redis_url: ${redisUrl}
log_level: error
http: { host: 127.0.0.1, port: ${port}, reuse_port: ${reusePort} }
session: { connect_timeout_ms: 600000 }
media: { workers: 1, listen_addresses: [127.0.0.1], max_calls_per_worker: 100000 }
`;

class Tenants {
  readonly folder: string;
  readonly path: string;
  readonly #sha256: string;

  constructor(folder: string, sha256: string) {
    this.folder = folder;
    this.path = join(folder, 'tenants.yaml');
    this.#sha256 = sha256;
  }

  write(state: 'live' | 'closed'): Promise<void> {
    const flow = state === 'live' ? 'state: live' : 'state: paused, end_sessions: true';
    const text = `teams:
  - id: team_bench
    features: { webrtc: true }
    mint_rate: { limit: 1000000, window_seconds: 1 }
    api_keys: [{ id: bench, sha256: ${this.#sha256}, scopes: [CREATE_CALL_TOKEN] }]
    flows: [{ id: flow_bench, ${flow} }, { id: flow_lasting, state: live }]
    endpoints:
      - { id: ${ENDPOINT}, flow: flow_bench, webrtc: true, target: { kind: echo }, media: { audio: true, video: false }, max_sessions: 100000 }
      - { id: ${LASTING}, flow: flow_lasting, webrtc: true, target: { kind: echo }, media: { audio: true, video: true }, max_sessions: 100000 }
`;
    return writeFile(this.path, text);
  }
}

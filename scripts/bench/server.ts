import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
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
import { rate } from './measure.ts';
import { post } from './post.ts';

const PROBE = new URL('./server-probe.ts', import.meta.url).href;
const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const MINTS_IN_FLIGHT = 32;

/** Audio echoes, on a flow that can be closed. */
export const ENDPOINT = 'ep_bench';
/** An echo of audio and video, on a flow that stays. */
export const LASTING = 'ep_lasting';

/** The real server in a process of its own, with the probe inside. */
export class BenchServer implements AsyncDisposable {
  readonly port: number;
  /** An API key that may mint. */
  readonly key: string;
  readonly #child: ChildProcess;
  readonly #tenants: Tenants;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MINTS_IN_FLIGHT });

  static async start(redisUrl: string): Promise<BenchServer> {
    const folder = await mkdtemp(join(tmpdir(), 'callgate-bench-'));
    const { key, sha256 } = createApiKey('bench');
    const tenants = new Tenants(folder, sha256);
    const port = await freePort(1);
    await tenants.write('live');
    await writeFile(join(folder, 'callgate.yaml'), configFor(redisUrl, port));
    await writeFile(join(folder, 'keys.json'), JSON.stringify(await createKeySet('EdDSA')));
    const env = {
      ...process.env,
      CALLGATE_CONFIG: join(folder, 'callgate.yaml'),
      CALLGATE_TENANTS: tenants.path,
      CALLGATE_SIGNING_KEYS: join(folder, 'keys.json'),
    };
    const child = spawn(process.execPath, ['--expose-gc', '--import', PROBE, CLI, 'serve'], {
      env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const server = new BenchServer({ child, port, key, tenants });
    await server.#ready();
    return server;
  }

  private constructor(parts: { child: ChildProcess; port: number; key: string; tenants: Tenants }) {
    this.#child = parts.child;
    this.port = parts.port;
    this.key = parts.key;
    this.#tenants = parts.tenants;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Asks the probe. */
  ask<T>(wish: string, count = 0): Promise<T> {
    return ask<T>(this.#child, wish, count);
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
    this.#child.kill('SIGHUP');
  }

  /** Opens it again; resolves when it is open. */
  async openFlow(): Promise<void> {
    await this.#tenants.write('live');
    this.#child.kill('SIGHUP');
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
    this.#child.kill('SIGTERM');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      this.terminate();
      await exit;
    }
    await rm(this.#tenants.folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    for (let tries = 0; tries < 300; tries += 1) {
      if (this.#child.exitCode !== null) throw new Error('the server ended at its start');
      const response = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (response?.ok) return;
      await delay(100);
    }
    throw new Error('the server did not become ready');
  }
}

// Sessions are negotiated and never connected, so that they must not have to connect.
const configFor = (redisUrl: string, port: number): string => `redis_url: ${redisUrl}
log_level: error
http: { host: 127.0.0.1, port: ${port} }
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

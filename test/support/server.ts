import { hash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DestinationStream } from 'pino';
import { type CallgateClient, createClient, type MintedToken, type TokenRecord } from '../../src/backend/index.ts';
import { type Config, loadConfig } from '../../src/config/config.ts';
import { createApiKey } from '../../src/mint/api-keys.ts';
import { type RunningServer, startServer } from '../../src/server.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createKeySet } from '../../src/tokens/keys.ts';
import { type TeamOptions, tenantsFile } from './tenants.ts';

type Changes = {
  [Section in keyof Config]?: Config[Section] extends object ? Partial<Config[Section]> : Config[Section];
};

export interface TestServerOptions {
  redisUrl?: string;
  /** Changes to the settings, section by section. */
  config?: Changes;
  /** Lines of the endpoints list of the tenants file, in place of `ENDPOINTS`. */
  endpoints?: TeamOptions['endpoints'];
  flowState?: TeamOptions['flowState'];
  webrtc?: TeamOptions['webrtc'];
  /** Signing keys and API key of another server, so that both speak for the same teams. */
  like?: TestServer;
  log?: { level: string; destination: DestinationStream };
}

export type { MintedToken };

const ENDPOINTS = `
      - { id: ep_echo, flow: flow_a, webrtc: true, target: { kind: echo }, media: { audio: true, video: true }, max_sessions: 100000 }
      - { id: ep_audio, flow: flow_a, webrtc: true, target: { kind: echo }, media: { audio: true, video: false }, max_sessions: 100000 }
      - { id: ep_simulcast, flow: flow_a, webrtc: true, target: { kind: echo }, media: { audio: true, video: true, simulcast: true }, max_sessions: 100 }
      - { id: ep_stereo, flow: flow_a, webrtc: true, target: { kind: echo }, media: { audio: true, video: false, stereo: true }, max_sessions: 100 }
      - { id: ep_room, flow: flow_a, webrtc: true, target: { kind: room }, max_sessions: 100 }
      - { id: ep_one, flow: flow_a, webrtc: true, target: { kind: echo }, max_sessions: 1 }
      - { id: ep_page, flow: flow_a, webrtc: true, target: { kind: echo }, allowed_origins: ["https://app.example"] }
      - { id: ep_off, flow: flow_a, webrtc: true, state: disabled, target: { kind: echo } }`;

/** The whole server in this process, on free ports of loopback, with a team of its own. */
export class TestServer {
  readonly running: RunningServer;
  readonly apiKey: string;
  /** What the team's backend may do. */
  readonly backend: CallgateClient;
  readonly keysFile: string;
  readonly #folder: string;

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const folder = await mkdtemp(join(tmpdir(), 'callgate-'));
    const key = options.like?.apiKey ?? createApiKey('backend').key;
    const { endpoints = ENDPOINTS, flowState, webrtc } = options;
    const keysFile = options.like?.keysFile ?? join(folder, 'keys.json');
    const tenants = join(folder, 'tenants.yaml');
    if (!options.like) await writeFile(keysFile, JSON.stringify(await createKeySet('EdDSA')), { mode: 0o600 });
    await writeFile(tenants, tenantsFile({ endpoints, sha256: hash('sha256', key, 'hex'), flowState, webrtc }));
    const env = {
      PORT: '0',
      HOST: '127.0.0.1',
      CALLGATE_TENANTS: tenants,
      CALLGATE_SIGNING_KEYS: keysFile,
      LOG_LEVEL: options.log?.level ?? 'fatal',
      REDIS_URL: options.redisUrl ?? '',
    };
    const { config } = loadConfig(env);
    const log = createLog(config.log_level, options.log?.destination);
    const running = await startServer({ config: changed(config, options.config), demo: false, log });
    return new TestServer(running, key, keysFile, folder);
  }

  private constructor(running: RunningServer, apiKey: string, keysFile: string, folder: string) {
    this.running = running;
    this.apiKey = apiKey;
    this.backend = createClient({ url: running.url, apiKey });
    this.keysFile = keysFile;
    this.#folder = folder;
  }

  get tenantsFile(): string {
    return join(this.#folder, 'tenants.yaml');
  }

  get wsUrl(): string {
    return `${this.running.url.replace('http', 'ws')}/v1/connect`;
  }

  mint(endpointId: string, more: Record<string, unknown> = {}): Promise<MintedToken> {
    return this.backend.mint({ endpoint_id: endpointId, ...more });
  }

  read(id: string): Promise<TokenRecord> {
    return this.backend.read(id);
  }

  api(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(`${this.running.url}/v1/call-tokens${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.apiKey}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async stop(): Promise<void> {
    await this.running.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const changed = (config: Config, changes: Changes = {}): Config => {
  const result: Record<string, unknown> = { ...config, media: { ...config.media, workers: 1 } };
  for (const [section, values] of Object.entries(changes)) {
    const before = result[section];
    result[section] = typeof before === 'object' ? { ...before, ...(values as object) } : values;
  }
  return result as Config;
};

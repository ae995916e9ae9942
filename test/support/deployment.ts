import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiKey } from '../../src/mint/api-keys.ts';
import { createKeySet } from '../../src/tokens/keys.ts';
import type { MintedToken } from './server.ts';
import { ServerProcess } from './server-process.ts';
import { tenantsFile } from './tenants.ts';

export interface DeploymentOptions {
  redisUrl?: string;
  /** Lines of the endpoints list of the tenants file. */
  endpoints?: string;
  /** What the settings file holds. */
  settings?: Readonly<Record<string, object>>;
}

export interface TokenRecord {
  status: string;
  session?: { id: string; ended_at: string | null; end_reason: string | null };
}

const ENDPOINTS = `
      - { id: ep_echo, flow: flow_a, webrtc: true, target: { kind: echo }, max_sessions: 100000 }
      - { id: ep_one, flow: flow_a, webrtc: true, target: { kind: echo }, max_sessions: 1 }
      - { id: ep_two, flow: flow_a, webrtc: true, target: { kind: echo }, max_sessions: 2 }`;

/** The files that several server processes share: teams, signing keys and settings. Stops what it started. */
export class Deployment {
  readonly env: Readonly<Record<string, string>>;
  readonly apiKey: string;
  readonly #folder: string;
  readonly #servers: ServerProcess[] = [];

  static async create({ redisUrl, endpoints = ENDPOINTS, settings = {} }: DeploymentOptions = {}): Promise<Deployment> {
    const folder = await mkdtemp(join(tmpdir(), 'callgate-deployment-'));
    const { key, sha256 } = createApiKey('backend');
    const files = {
      keys: join(folder, 'keys.json'),
      tenants: join(folder, 'tenants.yaml'),
      settings: join(folder, 's.yaml'),
    };
    await writeFile(files.keys, JSON.stringify(await createKeySet('EdDSA')), { mode: 0o600 });
    await writeFile(files.tenants, tenantsFile({ endpoints, sha256 }));
    // JSON is YAML.
    await writeFile(files.settings, JSON.stringify({ media: { workers: 1 }, ...settings }));
    const env = {
      CALLGATE_CONFIG: files.settings,
      CALLGATE_TENANTS: files.tenants,
      CALLGATE_SIGNING_KEYS: files.keys,
      ...(redisUrl !== undefined && { REDIS_URL: redisUrl }),
    };
    return new Deployment(folder, key, env);
  }

  private constructor(folder: string, apiKey: string, env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.apiKey = apiKey;
    this.env = env;
  }

  async server(env: Readonly<Record<string, string>> = {}, { ownGroup = false } = {}): Promise<ServerProcess> {
    const server = await ServerProcess.start({ env: { ...this.env, LOG_LEVEL: 'warn', ...env }, ownGroup });
    this.#servers.push(server);
    return server;
  }

  async mint({ url }: ServerProcess, endpointId: string, more: Record<string, unknown> = {}): Promise<MintedToken> {
    const response = await this.request(url, 'POST', '', { endpoint_id: endpointId, ...more });
    if (response.status !== 201) throw new Error(`mint answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as MintedToken;
  }

  async read({ url }: ServerProcess, id: string): Promise<TokenRecord> {
    return (await (await this.request(url, 'GET', `/${id}`)).json()) as TokenRecord;
  }

  request(url: string, method: string, path: string, body?: object): Promise<Response> {
    const headers = { authorization: `Bearer ${this.apiKey}`, 'content-type': 'application/json' };
    return fetch(`${url}/v1/call-tokens${path}`, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async stop(): Promise<void> {
    try {
      await Promise.all(this.#servers.map((server) => server.stop()));
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }
}

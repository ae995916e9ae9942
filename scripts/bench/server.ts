import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createApiKey } from '../../src/mint/api-keys.ts';
import { createKeySet } from '../../src/tokens/keys.ts';
import { freePort } from '../../test/support/ports.ts';

/** The server under test collects its garbage when it is told to. */
const COLLECT_ON_SIGNAL = "data:text/javascript,process.on('SIGUSR2', () => globalThis.gc())";

export const ENDPOINT = 'ep_bench';

export interface BenchServer {
  pid: number;
  url: string;
  /** An API key that may mint. */
  key: string;
  mint(): Promise<string>;
  stop(): Promise<void>;
}

/** The real server in a process of its own, with one audio echo endpoint. */
export async function startBenchServer(redisUrl: string): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-bench-'));
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  const { key, sha256 } = createApiKey('bench');
  const port = await freePort();
  const config = `redis_url: ${redisUrl}
log_level: error
http: { host: 127.0.0.1, port: ${port} }
media: { workers: 1, listen_addresses: [127.0.0.1], max_calls_per_worker: 100000 }
`;
  const tenants = `teams:
  - id: team_bench
    features: { webrtc: true }
    mint_rate: { limit: 1000000, window_seconds: 1 }
    api_keys: [{ id: bench, sha256: ${sha256}, scopes: [CREATE_CALL_TOKEN] }]
    flows: [{ id: flow_bench, state: live }]
    endpoints:
      - { id: ${ENDPOINT}, flow: flow_bench, webrtc: true, target: { kind: echo }, media: { audio: true, video: false }, max_sessions: 100000 }
`;
  const env = {
    ...process.env,
    CALLGATE_CONFIG: await file('callgate.yaml', config),
    CALLGATE_TENANTS: await file('tenants.yaml', tenants),
    CALLGATE_SIGNING_KEYS: await file('keys.json', JSON.stringify(await createKeySet('EdDSA'))),
  };
  const child = spawn(process.execPath, ['--expose-gc', '--import', COLLECT_ON_SIGNAL, 'src/cli.ts', 'serve'], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}`;
  await ready(url, child);
  return {
    pid: child.pid!,
    url,
    key,
    mint: async () => {
      const response = await fetch(`${url}/v1/call-tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ endpoint_id: ENDPOINT, ttl_seconds: 600 }),
      });
      if (response.status !== 201) throw new Error(`the mint answered ${response.status}`);
      return ((await response.json()) as { token: string }).token;
    },
    stop: async () => {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function ready(url: string, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    if (child.exitCode !== null) throw new Error('the server ended at its start');
    const response = await fetch(`${url}/readyz`).catch(() => undefined);
    if (response?.ok) return;
    await delay(100);
  }
  throw new Error('the server did not become ready');
}

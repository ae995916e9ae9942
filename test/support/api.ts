import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { type ApiDeps, createApi } from '../../src/api.ts';
import { type Config, loadConfig } from '../../src/config/config.ts';
import type { Directory } from '../../src/directory/directory.ts';
import { loadTenants } from '../../src/directory/tenants.ts';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { ephemeralSigningKeys, publicKeySet } from '../../src/tokens/keys.ts';
import { createSigner } from '../../src/tokens/signer.ts';

export const KEY = 'cgk_full_secret-of-the-full-key';
export const MINT_ONLY = 'cgk_mint_secret-of-the-mint-key';
export const READ_ONLY = 'cgk_read_secret-of-the-read-key';
export const OFF_KEY = 'cgk_off_secret-of-the-team-without-webrtc';
export const OFF_READ_ONLY = 'cgk_off-read_secret-of-the-same-team';
export const SLOW_KEY = 'cgk_slow_secret-of-a-team-with-few-mints';
export const OTHER_KEY = 'cgk_other_secret-of-another-team';

const entry = (key: string, scopes: string): string =>
  `{ id: ${key.split('_')[1]}, sha256: ${hash('sha256', key)}, scopes: [${scopes}] }`;
const BOTH = 'CREATE_CALL_TOKEN, READ_CALL_TOKEN';

const TENANTS = `
teams:
  - id: team_a
    features: { webrtc: true }
    mint_rate: { limit: 100000, window_seconds: 60 }
    api_keys:
      - ${entry(KEY, BOTH)}
      - ${entry(MINT_ONLY, 'CREATE_CALL_TOKEN')}
      - ${entry(READ_ONLY, 'READ_CALL_TOKEN')}
    flows: [{ id: live, state: live }, { id: paused, state: paused }, { id: archived, state: archived }]
    endpoints:
      - { id: ep_echo, flow: live, webrtc: true, target: { kind: echo }, max_duration_seconds: 600 }
      - { id: ep_room, flow: live, webrtc: true, target: { kind: room }, media: { video: false } }
      - { id: ep_phone, flow: live, target: { kind: echo } }
      - { id: ep_closed, flow: live, webrtc: true, state: disabled, target: { kind: echo } }
      - { id: ep_paused, flow: paused, webrtc: true, target: { kind: echo } }
      - { id: ep_archived, flow: archived, webrtc: true, target: { kind: echo } }
  - id: team_off
    api_keys: [${entry(OFF_KEY, BOTH)}, ${entry(OFF_READ_ONLY, 'READ_CALL_TOKEN')}]
    flows: [{ id: live, state: live }]
    endpoints: [{ id: ep_off, flow: live, webrtc: true, target: { kind: echo } }]
  - id: team_slow
    features: { webrtc: true }
    mint_rate: { limit: 2, window_seconds: 60 }
    api_keys: [${entry(SLOW_KEY, BOTH)}]
    flows: [{ id: live, state: live }]
    endpoints: [{ id: ep_slow, flow: live, webrtc: true, target: { kind: echo } }]
  - id: team_other
    features: { webrtc: true }
    api_keys: [${entry(OTHER_KEY, BOTH)}]
    flows: [{ id: live, state: live }]
    endpoints: [{ id: ep_other, flow: live, webrtc: true, target: { kind: echo } }]
`;

export function testDirectory(tenants = TENANTS): Directory {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-mint-'));
  try {
    writeFileSync(join(folder, 'tenants.yaml'), tenants);
    return loadTenants(join(folder, 'tenants.yaml'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface TestApi extends AsyncDisposable {
  url: string;
  port: number;
  store: MemoryTokenStore;
  /** How many connections the server has open. */
  connections: () => Promise<number>;
  /** Everything that was logged, at trace level. */
  logged: () => string;
}

/** The real API on a free port of loopback, with the memory store and an ephemeral signing key. */
export async function startApi({
  http = {},
  admission = {},
  ...parts
}: Partial<Omit<ApiDeps, 'config'>> & {
  http?: Partial<Config['http']>;
  admission?: Partial<Config['admission']>;
} = {}): Promise<TestApi> {
  const { config } = loadConfig({});
  const store = new MemoryTokenStore();
  const keys = await ephemeralSigningKeys();
  const lines: string[] = [];
  const app = createApi({
    config: { ...config, http: { ...config.http, ...http }, admission: { ...config.admission, ...admission } },
    demoKey: undefined,
    directory: { current: testDirectory() },
    store,
    sign: createSigner(keys, config.tokens.issuer),
    newTokenId,
    jwks: () => publicKeySet(keys),
    readiness: () => ({ store: store.ready, media: true }),
    hangUp: async () => true,
    audit: () => {},
    log: pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) }),
    ...parts,
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url,
    port: (app.server.address() as AddressInfo).port,
    store,
    connections: () => promisify(app.server.getConnections.bind(app.server))(),
    logged: () => lines.join(''),
    async [Symbol.asyncDispose]() {
      app.server.closeAllConnections();
      await app.close();
      await store.close();
    },
  };
}

/** Sends bytes as they are and gives back all that comes until the server closes. */
export function exchange(port: number, text: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => void socket.write(text));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()));
  });
}

/** One raw request on a connection of its own. */
export const rawRequest = (port: number, head: string[], body = ''): Promise<string> =>
  exchange(port, `${[...head, 'connection: close'].join('\r\n')}\r\n\r\n${body}`);

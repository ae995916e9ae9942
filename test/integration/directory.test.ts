import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { ENVIRONMENT } from '../support/environment.ts';
import { freePort } from '../support/ports.ts';
import { TestRedis } from '../support/redis.ts';
import { ServerProcess } from '../support/server-process.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
// Calls here are never answered; they only have to be there.
const PATIENT = { session: { answer_timeout_ms: 120_000, connect_timeout_ms: 120_000 } };
const ENDPOINTS = `
      - { id: ep_kept, flow: flow_kept, webrtc: true, target: { kind: echo } }
      - { id: ep_closed, flow: flow_closed, webrtc: true, target: { kind: echo } }`;

let owned: { stop(): Promise<unknown> }[] = [];
const own = <T extends { stop(): Promise<unknown> }>(part: T): T => {
  owned.unshift(part);
  return part;
};
afterEach(async () => {
  const parts = owned;
  owned = [];
  for (const part of parts) await part.stop();
});

/** A tenants file whose two flows are in these states; the second one ends its sessions when it is not live. */
const tenants = ({ apiKey }: Deployment, kept = 'live', closed = 'live'): string => `teams:
  - id: team_a
    features: { webrtc: true }
    mint_rate: { limit: 1000000, window_seconds: 60 }
    api_keys:
      - { id: backend, sha256: ${createHash('sha256').update(apiKey).digest('hex')}, scopes: [CREATE_CALL_TOKEN, READ_CALL_TOKEN] }
    flows:
      - { id: flow_kept, state: ${kept} }
      - { id: flow_closed, state: ${closed}, end_sessions: true }
    endpoints:${ENDPOINTS}
`;

const call = async (deployment: Deployment, server: ServerProcess, endpoint: string): Promise<TestSocket> => {
  const { token } = await deployment.mint(server, endpoint);
  const socket = await startCall(server.wsUrl, { token, endpoint_id: endpoint }, { timeoutMs: 30_000 });
  await socket.expect('offer');
  return socket;
};

const mintCode = async (deployment: Deployment, { url }: ServerProcess, endpoint: string): Promise<unknown> =>
  ((await (await deployment.request(url, 'POST', '', { endpoint_id: endpoint })).json()) as { code?: string }).code;

const presentCode = async ({ wsUrl }: ServerProcess, start: { token: string; endpoint_id: string }) => {
  const socket = await startCall(wsUrl, start, { timeoutMs: 30_000 });
  await socket.closing();
  const [error] = socket.messages;
  return error?.type === 'error' ? { code: error.code, retryable: error.retryable } : error?.type;
};

const readiness = async (url: string): Promise<{ checks?: Record<string, boolean> }> =>
  fetch(`${url}/readyz`).then(
    (response) => response.json() as Promise<{ checks: Record<string, boolean> }>,
    () => ({}),
  );

const hangUp = async (socket: TestSocket): Promise<void> => {
  socket.send({ type: 'hangup' });
  expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
};

describe('the tenants of a running server', () => {
  it('are read again when their file changes and on SIGHUP, and no call is dropped by it', {
    timeout: 120_000,
  }, async () => {
    const deployment = own(await Deployment.create({ settings: PATIENT }));
    const file = deployment.env.CALLGATE_TENANTS!;
    const replace = async (text: string) => {
      await writeFile(`${file}~`, text);
      await rename(`${file}~`, file);
    };
    await replace(tenants(deployment));
    const server = await deployment.server({ LOG_LEVEL: 'info' });
    const kept = await call(deployment, server, 'ep_kept');
    const closed = await call(deployment, server, 'ep_closed');
    const held = await deployment.mint(server, 'ep_kept', { ttl_seconds: 600 });

    await replace(tenants(deployment, 'archived', 'archived'));
    expect(await closed.skipTo('ended')).toEqual({ type: 'ended', reason: 'flow_closed' });
    for (const endpoint of ['ep_kept', 'ep_closed']) {
      expect(await mintCode(deployment, server, endpoint)).toBe('flow_not_live');
    }
    const start = { token: held.token, endpoint_id: 'ep_kept' };
    expect(await presentCode(server, start)).toEqual({ code: 'endpoint_unavailable', retryable: true });

    await replace('teams:\n  - id: "?"\n    colour: red\n');
    await server.printed(/the directory is refused: the one before stays in force/);
    process.kill(server.pid, 'SIGHUP');
    await expect.poll(() => server.log.filter(({ level }) => level === 50).length, { timeout: 10_000 }).toBe(2);
    const [error] = server.log.filter(({ level }) => level === 50);
    expect(error?.mistakes).toEqual([
      expect.stringMatching(/tenants\.yaml:2:9: teams\[0\]\.id: must be/),
      expect.stringMatching(/tenants\.yaml:3:5: teams\[0\]\.colour: unknown key/),
    ]);
    expect(await mintCode(deployment, server, 'ep_kept')).toBe('flow_not_live');

    await replace(tenants(deployment, 'live', 'paused'));
    process.kill(server.pid, 'SIGHUP');
    await expect.poll(() => mintCode(deployment, server, 'ep_kept'), { timeout: 10_000 }).toBeUndefined();
    const again = await startCall(server.wsUrl, start, { timeoutMs: 30_000 });
    await again.expect('offer');
    await hangUp(again);
    await hangUp(kept);

    const metrics = await (await fetch((server.log.find(({ metrics }) => metrics)?.metrics as string) ?? '')).text();
    expect(metrics).toMatch(/callgate_directory_reloads_total\{outcome="refused"\} 2/);
    expect(metrics).toMatch(/callgate_directory_reloads_total\{outcome="loaded"\} [2-9]/);
    expect(metrics).toMatch(/callgate_sessions_ended_total\{reason="flow_closed"\} 1/);
  });

  it('are published to all processes on one Redis at once', { timeout: 120_000 }, async () => {
    const redis = own(await TestRedis.start());
    const deployment = own(await Deployment.create({ redisUrl: redis.url, settings: PATIENT }));
    const { CALLGATE_TENANTS: file, ...env } = deployment.env;
    const callgate = async (...args: string[]) => {
      const options = { cwd: ROOT, env: { ...ENVIRONMENT, REDIS_URL: redis.url } };
      return promisify(execFile)(process.execPath, ['src/cli.ts', 'directory', ...args], options).then(
        ({ stdout }) => ({ status: 0, output: stdout }),
        ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
          status: code,
          output: stdout + stderr,
        }),
      );
    };
    await writeFile(file!, tenants(deployment));

    const ports = [String(await freePort()), String(await freePort())];
    const starting = ports.map((PORT) => ServerProcess.start({ env: { ...env, PORT, LOG_LEVEL: 'warn' } }));
    for (const port of ports) {
      await expect
        .poll(() => readiness(`http://127.0.0.1:${port}`), { timeout: 30_000, interval: 200 })
        .toMatchObject({ status: 'not_ready', checks: { store: true, media: true, directory: false } });
    }
    expect((await deployment.request(`http://127.0.0.1:${ports[0]}`, 'POST', '', {})).status).toBe(503);

    expect(await callgate('apply', file!)).toEqual({
      status: 0,
      output: expect.stringMatching(/\+ team team_a: endpoint ep_kept\n.*\npublished as version 1\n$/),
    });
    const servers = (await Promise.all(starting)).map(own);
    expect(servers[0]!.output).toContain('run `callgate directory apply tenants.yaml`');
    const calls = await Promise.all(servers.map((server) => call(deployment, server, 'ep_closed')));

    await writeFile(file!, tenants(deployment, 'live', 'archived'));
    const change = '~ team team_a: flow flow_closed: state "live" -> "archived"\n';
    expect(await callgate('diff', file!)).toEqual({ status: 1, output: change });
    expect((await callgate('apply', file!)).output).toBe(`${change}published as version 2\n`);
    for (const socket of calls) {
      expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'flow_closed' });
    }
    for (const server of servers) expect(await mintCode(deployment, server, 'ep_closed')).toBe('flow_not_live');

    await writeFile(file!, 'teams: [{ id: team_a, colour: red }]');
    expect(await callgate('apply', file!)).toMatchObject({ status: 2, output: expect.stringContaining('unknown key') });
    expect((await callgate('show')).output).toContain('# version 2, applied ');
  });
});

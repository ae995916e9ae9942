import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import type { EndReason } from '../../src/protocol/codes.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { TraceLine } from '../../src/telemetry/trace-format.ts';
import { Deployment } from '../support/deployment.ts';
import { RtcClient } from '../support/rtc-client.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

const SETTINGS = {
  // Relative to the settings file.
  trace: 'sessions.jsonl',
  session: { answer_timeout_ms: 1000, connect_timeout_ms: 2000, grace_ms: 500 },
  media: { workers: 1 },
};
const ENDPOINTS = `
      - { id: ep_echo, flow: flow_a, webrtc: true, target: { kind: echo }, media: { audio: true, video: true } }
      - { id: ep_audio, flow: flow_a, webrtc: true, target: { kind: echo }, media: { audio: true, video: false } }`;

interface Started {
  socket: TestSocket;
  offer: Extract<ServerMessage, { type: 'offer' }>;
  id: string;
}

describe('the trace of a server', { timeout: 60_000 }, () => {
  const secrets: string[] = [];
  let deployment: Deployment;
  let server: ServerProcess;
  let path: string;

  beforeAll(async () => {
    deployment = await Deployment.create({ endpoints: ENDPOINTS });
    const { CALLGATE_CONFIG, CALLGATE_TENANTS } = deployment.env;
    await writeFile(CALLGATE_CONFIG!, JSON.stringify(SETTINGS));
    const tenants = readFileSync(CALLGATE_TENANTS!, 'utf8');
    await writeFile(CALLGATE_TENANTS!, tenants.replace('state: live', 'state: live, end_sessions: true'));
    path = join(dirname(CALLGATE_CONFIG!), 'sessions.jsonl');
    secrets.push(deployment.apiKey);
    server = await deployment.server();
  });
  afterAll(() => deployment?.stop());

  const lines = (): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);

  const start = async (endpoint = 'ep_echo', more: Record<string, unknown> = {}): Promise<Started> => {
    const { id, token } = await deployment.mint(server, endpoint, { metadata: { caller: 'Ada Lovelace' }, ...more });
    const socket = await startCall(server.wsUrl, { endpoint_id: endpoint, token }, { timeoutMs: 30_000 });
    const offer = await socket.expect('offer');
    secrets.push(id, token, token.split('.')[2]!, offer.session.ticket, offer.session.id);
    return { socket, offer, id };
  };

  const answer = ({ socket, offer }: Started, sdp = writeAnswer(offer.sdp, { identity: newIdentity() })): void =>
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp });

  /** The one line that this adds, once its session is over. */
  const recorded = async (call: () => Promise<unknown>): Promise<TraceLine> => {
    const before = lines().length;
    const since = Date.now();
    await call();
    await expect.poll(() => lines().length, { timeout: 10_000 }).toBeGreaterThan(before);
    expect(lines()).toHaveLength(before + 1);
    const line: unknown = JSON.parse(lines().at(-1)!);
    expect([...Value.Errors(TraceLine, line)]).toEqual([]);
    const checked = line as TraceLine;
    // The store's clock is that of this machine here.
    expect(Date.parse(checked.at)).toBeGreaterThanOrEqual(since - 1);
    expect(Date.parse(checked.at) + checked.duration_ms).toBeLessThanOrEqual(Date.now() + 1);
    return checked;
  };

  const WAYS: Partial<Record<EndReason, () => Promise<unknown>>> = {
    completed: async () => {
      const { socket } = await start();
      socket.send({ type: 'hangup' });
      await socket.closing();
    },
    expired: async () => (await start('ep_echo', { max_duration_seconds: 1 })).socket.closing(),
    revoked: async () => {
      const { id } = await start();
      await deployment.request(server.url, 'DELETE', `/${id}`);
    },
    answer_timeout: async () => (await start()).socket.closing(),
    connect_timeout: async () => {
      const session = await start();
      answer(session);
      await session.socket.closing();
    },
    negotiation_failed: async () => {
      const session = await start();
      answer(session, 'v=0\r\n127.0.0.1 said nothing');
      await session.socket.closing();
    },
    client_lost: async () => (await start()).socket.cut(),
    worker_lost: async () => {
      const { socket } = await start();
      const workers = execFileSync('ps', ['-o', 'pid=', '--ppid', String(server.pid)], { encoding: 'utf8' });
      process.kill(Number.parseInt(workers, 10), 'SIGKILL');
      await socket.closing();
      const ready = () => fetch(`${server.url}/readyz`).then(({ status }) => status);
      await expect.poll(ready, { timeout: 20_000 }).toBe(200);
    },
  };

  it.each(Object.entries(WAYS))('has one line for a session that ends with %s', async (reason, end) => {
    const line = await recorded(end);
    const media = reason === 'connect_timeout' ? ['audio', 'video'] : [];
    expect(line).toMatchObject({ endpoint_id: 'ep_echo', media, live_ms: null, end_reason: reason });
    if (reason === 'expired') expect(line.duration_ms).toBeGreaterThanOrEqual(999);
  });

  it('tells of a call that was live what it took and how long it took', async () => {
    const line = await recorded(async () => {
      const session = await start('ep_audio');
      const client = await RtcClient.answer(session.offer.sdp);
      answer(session, client.answerSdp);
      await session.socket.skipTo('live');
      session.socket.send({ type: 'hangup' });
      await session.socket.closing();
      await client.close();
    });
    expect(line).toMatchObject({ endpoint_id: 'ep_audio', media: ['audio'], end_reason: 'completed' });
    expect(line.live_ms).toBeGreaterThan(0);
    expect(line.live_ms).toBeLessThanOrEqual(line.duration_ms);
  });

  it('tells the kinds of the first answer, and not those that it rejects', async () => {
    const line = await recorded(async () => {
      const session = await start();
      answer(session, writeAnswer(session.offer.sdp, { identity: newIdentity(), kinds: ['video'] }));
      session.socket.send({ type: 'hangup' });
      await session.socket.closing();
    });
    expect(line.media).toEqual(['video']);
  });

  it('has no line for a start that was refused', async () => {
    const before = lines().length;
    const refused = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token: 'a.guessed.token' });
    await refused.closing();
    await recorded(WAYS.completed!);
    expect(lines()).toHaveLength(before + 1);
  });

  it('is opened anew on SIGHUP', async () => {
    await rm(path);
    server.signal('SIGHUP');
    await expect.poll(() => statSync(path, { throwIfNoEntry: false })?.mode, { timeout: 10_000 }).toBeDefined();
    // A server that was signalled is not asked to stop again.
    expect(await recorded(WAYS.completed!)).toMatchObject({ end_reason: 'completed' });
  });

  it('has the sessions of a flow that is closed, and at last those that the stop ends', async () => {
    const tenants = deployment.env.CALLGATE_TENANTS!;
    const text = readFileSync(tenants, 'utf8');
    const closed = await recorded(async () => {
      const { socket } = await start();
      await writeFile(tenants, text.replace('state: live', 'state: archived'));
      server.signal('SIGHUP');
      await socket.closing();
    });
    expect(closed.end_reason).toBe('flow_closed');
    await writeFile(tenants, text);
    server.signal('SIGHUP');
    await expect.poll(() => start().catch(() => undefined), { timeout: 10_000 }).toBeDefined();
    const before = lines().length;
    server.signal('SIGTERM');
    await server.exited;
    expect(lines().slice(before)).toEqual([expect.stringContaining('"end_reason":"server_shutdown"')]);
  });

  it('is readable for its owner alone, and no secret, id, address or person is in it', () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = lines().join('\n');
    expect(secrets.length).toBeGreaterThan(20);
    for (const secret of [...secrets, '127.0.0.1', 'Ada', 'Lovelace', 'team_a']) expect(text).not.toContain(secret);
    const keys = ['at', 'duration_ms', 'end_reason', 'endpoint_id', 'live_ms', 'media'];
    for (const line of lines()) expect(Object.keys(JSON.parse(line) as object).sort()).toEqual(keys);
  });
});

describe('a server whose trace cannot be written', () => {
  it('does not start, and says so in a sentence', async () => {
    const deployment = await Deployment.create();
    try {
      await writeFile(
        deployment.env.CALLGATE_CONFIG!,
        JSON.stringify({ ...SETTINGS, trace: 'nowhere/sessions.jsonl' }),
      );
      const refusal = expect(deployment.server()).rejects;
      await refusal.toThrow(/callgate cannot start: .*trace: must be the path of a file that can be written/);
    } finally {
      await deployment.stop();
    }
  });
});

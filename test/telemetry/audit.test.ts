import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_STREAM } from '../../src/telemetry/audit-stream.ts';
import { TestRedis } from '../support/redis.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

type Entry = Record<string, string>;

describe('the audit of a server on Redis', () => {
  let redis: TestRedis;
  let server: TestServer;
  let logged = '';
  beforeAll(async () => {
    redis = await TestRedis.start();
    const destination = {
      write: (line: string) => {
        logged += line;
      },
    };
    server = await TestServer.start({ redisUrl: redis.url, log: { level: 'info', destination } });
  });
  afterAll(async () => {
    await server.stop();
    await redis.stop();
  });

  const inLog = (): Entry[] =>
    logged
      .split('\n')
      .filter((line) => line.includes('"audit":true'))
      .map((line) => JSON.parse(line) as Entry);
  const inStream = async (): Promise<Entry[]> => {
    const json = await redis.cli('--json', 'EVAL', 'return redis.call("XRANGE", KEYS[1], "-", "+")', '1', AUDIT_STREAM);
    return (JSON.parse(json) as [string, string[]][]).map(([, fields]) => toEntry(fields));
  };
  const about = async (id: string): Promise<Entry[]> => (await inStream()).filter(({ token_id }) => token_id === id);

  it('tells a whole call: minted, burned, refused the second time, ended', async () => {
    const { id, token } = await server.mint('ep_echo');
    const first = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token });
    await first.expect('offer');
    const second = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token });
    await second.expect('error');
    first.send({ type: 'hangup' });
    await first.closing();
    await expect.poll(async () => (await about(id)).length).toBe(4);

    const [mint, burn, refusal, end] = await about(id);
    const who = { time: expect.stringMatching(/Z$/), team: 'team_a', endpoint_id: 'ep_echo', token_id: id };
    const asked = { ...who, request_id: expect.stringMatching(/^req_/), peer: '127.0.0.1' };
    const session_id = burn?.session_id;
    const held = { session_id, node: expect.stringMatching(/^n_[a-z2-7]{8}$/), epoch: '1' };
    expect(session_id).toMatch(/^sess_/);
    expect(mint).toEqual({ event: 'mint', ...asked, key_id: 'backend' });
    expect(burn).toEqual({ event: 'burn', ...asked, ...held });
    expect(refusal).toEqual({ event: 'refusal', ...asked, code: 'token_used' });
    expect(end).toEqual({ event: 'end', ...asked, ...held, node: burn?.node, reason: 'completed' });
    expect(end?.request_id).toBe(burn?.request_id);
    expect(refusal?.request_id).not.toBe(burn?.request_id);
  });

  it('tells refreshes, revocations and what a backend was refused', async () => {
    const { id } = await server.mint('ep_echo');
    const successor = await server.backend.refresh(id);
    await server.backend.revoke(successor.id);
    const refused = await server.api('POST', `/${id}/refresh`);
    const { request_id } = (await refused.json()) as { request_id: string };
    await expect.poll(async () => (await about(id)).length).toBe(2);
    const [, refusal] = await about(id);
    const [refresh, revoke] = await about(successor.id);
    expect(refresh).toMatchObject({ event: 'refresh', replaces: id, key_id: 'backend', endpoint_id: 'ep_echo' });
    expect(revoke).toMatchObject({ event: 'revoke', key_id: 'backend', team: 'team_a' });
    expect(refusal).toMatchObject({
      event: 'refusal',
      code: 'token_not_issued',
      call: 'POST /v1/call-tokens/:id/refresh',
      request_id,
    });
  });

  it('tells of strangers what they did, and nothing that they said', async () => {
    const headers = { authorization: 'Bearer cgk_backend_wrong', 'content-type': 'application/json' };
    await fetch(`${server.running.url}/v1/call-tokens`, { method: 'POST', headers, body: '{"endpoint_id":"a b"}' });
    const guess = await startCall(server.wsUrl, { endpoint_id: 'a.b', token: 'a.guessed.token' });
    await guess.expect('error');
    const codes = async () => (await inStream()).map(({ code }) => code);
    await expect.poll(codes).toEqual(expect.arrayContaining(['api_key_invalid', 'token_invalid']));
    const [stranger] = (await inStream()).filter(({ code }) => code === 'token_invalid');
    expect(Object.keys(stranger!).sort()).toEqual(['code', 'event', 'peer', 'request_id', 'time']);
  });

  it('tells of a refusal whose presenter did not wait for it', async () => {
    const { id, token } = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_audio', token });
    await socket.cut();
    await expect.poll(async () => (await about(id)).map(({ event }) => event)).toEqual(['mint', 'refusal']);
    expect((await about(id))[1]).toMatchObject({ team: 'team_a', code: 'endpoint_mismatch' });
  });

  it('says the same in the log, and no secret anywhere', async () => {
    const { token } = await server.mint('ep_echo');
    expect(await (await fetch(server.running.metricsUrl)).text()).toContain('\ncallgate_audit_dropped_total 0\n');
    const events = (entries: Entry[]) => entries.map(({ event, request_id }) => `${event} ${request_id}`);
    await expect.poll(async () => events(await inStream())).toEqual(events(inLog()));
    const all = JSON.stringify(await inStream()) + logged;
    for (const secret of [token, server.apiKey, 'guessed', '_wrong', 'a b']) expect(all).not.toContain(secret);
  });
});

const toEntry = (fields: string[]): Entry =>
  Object.fromEntries(Array.from({ length: fields.length / 2 }, (_, i) => fields.slice(2 * i, 2 * i + 2)));

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestRedis } from '../support/redis.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

let redis: TestRedis;
let server: TestServer;
const lines: Record<string, unknown>[] = [];
beforeAll(async () => {
  redis = await TestRedis.start();
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  server = await TestServer.start({ redisUrl: redis.url, log: { level: 'warn', destination } });
});
afterAll(async () => {
  await server?.stop();
  await redis?.stop();
});

const told = (key: string) => lines.filter((line) => line.redis_key === key);
const status = async (method: string, path: string, body?: unknown): Promise<number> =>
  (await server.api(method, path, body)).status;
const firstFrame = async (token: string) => {
  const socket = await startCall(server.wsUrl, { token, endpoint_id: 'ep_echo' });
  const frame = await socket.next();
  await socket.cut();
  return frame;
};
/** Puts something of somebody else at a key. */
const occupy = async (key: string): Promise<void> => {
  await redis.cli('DEL', key);
  await redis.cli('RPUSH', key, 'theirs');
};

describe('a key that holds what somebody else wrote', () => {
  it('at a record: every call on it is refused and retryable, and told once', async () => {
    const { id, token } = await server.mint('ep_echo');
    const [, family, random] = id.split('_');
    const key = `callgate:{${family}}:${random}`;
    await occupy(key);
    for (let round = 0; round < 3; round++) {
      expect(await firstFrame(token)).toMatchObject({ type: 'error', code: 'unavailable', retryable: true });
      expect(await status('GET', `/${id}`)).toBe(503);
      expect(await status('POST', `/${id}/refresh`, {})).toBe(503);
      expect(await status('DELETE', `/${id}`)).toBe(503);
    }
    expect(told(key)).toMatchObject([{ reason: 'WRONGTYPE', level: 40 }]);
    await redis.cli('DEL', key);
    await redis.cli('HSET', key, 'team', 'team_a', 'name', 'theirs');
    expect(await firstFrame(token)).toMatchObject({ code: 'token_unknown' });
    expect(await status('GET', `/${id}`)).toBe(503);
  });

  it('at the places of an endpoint: nothing is spent, and calls start when it is gone', async () => {
    const { token } = await server.mint('ep_echo');
    const key = 'callgate:{endpoint:ep_echo}:places';
    await occupy(key);
    for (let round = 0; round < 3; round++) {
      expect(await firstFrame(token)).toMatchObject({ type: 'error', code: 'unavailable', retryable: true });
    }
    expect(told(key)).toHaveLength(1);
    await redis.cli('DEL', key);
    expect(await firstFrame(token)).toMatchObject({ type: 'offer' });
  });

  it('at a rate: minting is refused; at a list: it is not', async () => {
    const [rate, list] = ['callgate:rate:{team:team_a}', 'callgate:{team:team_a}:tokens'];
    await occupy(rate);
    expect([await status('POST', '', { endpoint_id: 'ep_echo' }), await status('GET', '')]).toEqual([503, 200]);
    await redis.cli('DEL', rate);
    await redis.cli('SET', rate, 'theirs');
    expect(await status('POST', '', { endpoint_id: 'ep_echo' })).toBe(503);
    await redis.cli('DEL', rate);
    await occupy(list);
    for (let round = 0; round < 3; round++) expect(await status('POST', '', { endpoint_id: 'ep_echo' })).toBe(201);
    expect(await status('GET', '')).toBe(503);
    expect([told(rate).length, told(list).length]).toEqual([1, 1]);
    expect(lines.filter(({ msg }) => /not be listed/.test(String(msg)))).toHaveLength(1);
    await redis.cli('DEL', list);
    expect((await fetch(`${server.running.url}/readyz`)).status).toBe(200);
  });
});

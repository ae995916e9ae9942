import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestRedis } from '../support/redis.ts';
import { TestServer } from '../support/server.ts';

let redis: TestRedis;
let servers: [TestServer, TestServer];

beforeAll(async () => {
  redis = await TestRedis.start('--appendonly', 'yes', '--appendfsync', 'always');
  const first = await TestServer.start({ redisUrl: redis.url });
  servers = [first, await TestServer.start({ redisUrl: redis.url, like: first })];
});
afterAll(async () => {
  for (const server of servers ?? []) await server.stop();
  await redis?.stop();
});

const post = (server: TestServer, path: string, body: object, headers: Record<string, string> = {}) =>
  fetch(`${server.running.url}/v1/call-tokens${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.apiKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

describe('two servers on one Redis', () => {
  it('give one token to one idempotency key', async () => {
    const headers = { 'idempotency-key': 'both' };
    const body = { endpoint_id: 'ep_echo', metadata: { order: '7' } };
    const posts = [...servers, ...servers].map((server) => post(server, '', body, headers));
    const answers = await Promise.all((await Promise.all(posts)).map((response) => response.json()));
    expect(new Set(answers.map(({ token }) => token)).size).toBe(1);
    const other = await post(servers[1], '', { endpoint_id: 'ep_audio' }, headers);
    expect(other.status).toBe(422);
  });

  it('refresh a token once', async () => {
    const { id } = await servers[0].mint('ep_echo');
    const posts = [...servers, ...servers].map((server) => post(server, `/${id}/refresh`, {}));
    const statuses = (await Promise.all(posts)).map(({ status }) => status);
    expect(statuses.sort()).toEqual([201, 409, 409, 409]);
  });

  it('list what either minted', async () => {
    const ids = [await servers[0].mint('ep_one'), await servers[1].mint('ep_one')].map(({ id }) => id);
    for (const server of servers) {
      const page = await (await server.api('GET', '?endpoint_id=ep_one')).json();
      expect(page.data.map(({ id }: { id: string }) => id).sort()).toEqual([...ids].sort());
    }
  });

  it('mint nothing that is not stored, and say 503 with Retry-After, while Redis dies and comes back', async () => {
    const minted: string[] = [];
    const refused: { status: number; retryAfter: string | null }[] = [];
    let going = true;
    const load = servers.flatMap((server) =>
      [1, 2, 3].map(async () => {
        while (going) {
          const response = await post(server, '', { endpoint_id: 'ep_echo', ttl_seconds: 600 });
          const { id } = await response.json();
          if (response.status === 201) minted.push(id);
          else refused.push({ status: response.status, retryAfter: response.headers.get('retry-after') });
        }
      }),
    );
    await sleep(300);
    await redis.kill();
    const before = minted.length;
    await sleep(2500);
    expect(refused.length).toBeGreaterThan(0);
    await redis.boot();
    await expect.poll(() => minted.length, { timeout: 10_000 }).toBeGreaterThan(before);
    going = false;
    await Promise.all(load);
    expect(refused.every(({ status, retryAfter }) => status === 503 && retryAfter === '1')).toBe(true);
    const reads = await Promise.all(minted.map((id) => servers[1].api('GET', `/${id}`)));
    expect(reads.every(({ status }) => status === 200)).toBe(true);
  });
});

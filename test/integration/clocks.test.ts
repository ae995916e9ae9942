import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/backend/index.ts';
import { TestRedis } from '../support/redis.ts';
import { TestServer } from '../support/server.ts';
import { ServerProcess } from '../support/server-process.ts';
import { startCall } from '../support/ws-client.ts';

/** What a process runs whose clock is that far from the machine's. */
const shifted = (ms: number): string =>
  `--import=data:text/javascript,${encodeURIComponent(`const now = Date.now; Date.now = () => now() + ${ms}`)}`;
const SHIFTS = [-60_000, 60_000];

let redis: TestRedis;
let server: TestServer;
let processes: ServerProcess[];
beforeAll(async () => {
  redis = await TestRedis.start();
  server = await TestServer.start({ redisUrl: redis.url });
  const env = { REDIS_URL: redis.url, CALLGATE_SIGNING_KEYS: server.keysFile, CALLGATE_TENANTS: server.tenantsFile };
  const start = (ms: number) => ServerProcess.start({ env: { ...env, NODE_OPTIONS: shifted(ms) } });
  processes = await Promise.all(SHIFTS.map(start));
});
afterAll(async () => {
  for (const each of processes ?? []) await each.stop();
  await server?.stop();
  await redis?.stop();
});

describe('processes whose clocks are a minute behind and a minute ahead of the store', () => {
  it('take the tokens that any of them minted', async () => {
    const urls = processes.map(({ url }) => url);
    for (const minter of urls) {
      for (const { wsUrl } of [...processes, server]) {
        const backend = createClient({ url: minter, apiKey: server.apiKey });
        const { token, created_at } = await backend.mint({ endpoint_id: 'ep_echo' });
        expect(Math.abs(Date.parse(created_at) - Date.now())).toBeLessThan(2000);
        const socket = await startCall(wsUrl, { token, endpoint_id: 'ep_echo' });
        expect(await socket.next()).toMatchObject({ type: 'offer' });
        await socket.cut();
      }
    }
  });

  it('show the difference, and say it once', async () => {
    for (const [index, each] of processes.entries()) {
      const [, metrics = ''] = /"metrics":"([^"]+)"/.exec(each.output) ?? [];
      const text = await (await fetch(metrics)).text();
      const skew = Number(/^callgate_store_clock_skew_seconds (\S+)$/m.exec(text)?.[1]);
      expect(Math.abs(skew + SHIFTS[index]! / 1000)).toBeLessThan(1);
      const told = each.log.filter(({ skew_seconds }) => skew_seconds !== undefined);
      expect(told).toHaveLength(1);
      expect(told[0]).toMatchObject({ level: 40, skew_seconds: expect.closeTo(-SHIFTS[index]! / 1000, 0) });
    }
  });
});

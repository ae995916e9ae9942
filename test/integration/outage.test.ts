import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestRedis } from '../support/redis.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { TestServer } from '../support/server.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

let redis: TestRedis;
let server: TestServer;
let clients: RtcClient[] = [];
let sockets: TestSocket[] = [];

beforeEach(async () => {
  redis = await TestRedis.start();
  server = await TestServer.start({ redisUrl: redis.url, config: { session: { lease_renew_ms: 300 } } });
  await expect.poll(ready, { timeout: 10_000 }).toBe(200);
});

afterEach(async () => {
  for (const client of clients) await client.close();
  for (const socket of sockets) await socket.cut();
  clients = [];
  sockets = [];
  redis.resume();
  await server.stop();
  await redis.stop();
});

const status = (path: string): Promise<number> =>
  fetch(`${server.running.url}${path}`).then((response) => response.status);
const ready = (): Promise<number> => status('/readyz');

const start = async (token: string, endpoint_id = 'ep_echo'): Promise<TestSocket> => {
  const socket = await startCall(server.wsUrl, { token, endpoint_id });
  sockets.push(socket);
  return socket;
};

/** A call whose media flows. */
const goLive = async () => {
  const { id, token } = await server.mint('ep_echo');
  const socket = await start(token);
  const offer = await socket.expect('offer');
  const client = await RtcClient.answer(offer.sdp);
  clients.push(client);
  socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: client.answerSdp });
  await socket.expect('live');
  client.startSending();
  await expect.poll(() => client.received.audio, { timeout: 10_000 }).toBeGreaterThan(0);
  return { id, socket, client };
};

/** How long something took, in milliseconds. */
const timed = async <T>(work: Promise<T>): Promise<{ value: T; ms: number }> => {
  const since = performance.now();
  return { value: await work, ms: performance.now() - since };
};

/** Bounds of the design, with room for a busy machine. */
const STORE_ANSWERS_WITHIN_MS = 2000 + 1000;

const outages = [
  {
    name: 'that is stopped and swallows commands',
    begin: async () => redis.pause(),
    end: async () => redis.resume(),
  },
  {
    name: 'that was shut down',
    begin: async () => {
      await redis.cli('SAVE');
      await redis.kill();
    },
    end: () => redis.boot(),
  },
];

describe.each(outages)('a Redis $name', ({ begin, end }) => {
  it('refuses new calls, keeps the live one, and stores its end later', { timeout: 60_000 }, async () => {
    const live = await goLive();
    const hungUp = await goLive();
    const spare = await server.mint('ep_echo', { ttl_seconds: 600 });
    await begin();

    const mint = await timed(server.api('POST', '', { endpoint_id: 'ep_echo' }));
    expect(mint.value.status).toBe(503);
    expect(await mint.value.json()).toMatchObject({ code: 'unavailable' });
    expect(Number(mint.value.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(mint.ms).toBeLessThan(STORE_ANSWERS_WITHIN_MS);

    const socket = await start(spare.token);
    const refused = await timed(socket.expect('error'));
    // Nothing was burned, because no place could be taken.
    expect(refused.value).toMatchObject({ code: 'unavailable', retryable: true });
    expect(refused.ms).toBeLessThan(STORE_ANSWERS_WITHIN_MS);
    expect((await socket.closing()).code).toBe(4503);
    expect(await status('/healthz')).toBe(200);
    expect(await ready()).toBe(503);

    hungUp.socket.send({ type: 'hangup' });
    const ended = await timed(hungUp.socket.expect('ended'));
    expect(ended.value.reason).toBe('completed');
    expect(ended.ms).toBeLessThan(2000);
    expect((await hungUp.socket.closing()).code).toBe(1000);

    const before = live.client.received.audio;
    await expect.poll(() => live.client.received.audio, { timeout: 10_000 }).toBeGreaterThan(before + 20);

    await end();
    const recovery = await timed(expect.poll(ready, { timeout: 10_000, interval: 20 }).toBe(200));
    expect(recovery.ms).toBeLessThan(2000 + 1000);
    await expect
      .poll(() => server.read(hungUp.id), { timeout: 10_000 })
      .toMatchObject({ status: 'completed', session: { end_reason: 'completed' } });
    expect(await server.read(live.id)).toMatchObject({ status: 'active' });

    live.socket.send({ type: 'hangup' });
    expect(await live.socket.expect('ended')).toEqual({ type: 'ended', reason: 'completed' });
    expect(await server.read(live.id)).toMatchObject({ session: { end_reason: 'completed' } });
    await expect.poll(() => server.running.held()).toEqual({ sessions: 0, sockets: 0, calls: 0 });
    const next = await server.mint('ep_echo');
    expect((await (await start(next.token)).next()).type).toBe('offer');
  });
});

describe('a Redis that answers again', () => {
  it('takes the token that was refused meanwhile', async () => {
    const { token } = await server.mint('ep_echo', { ttl_seconds: 600 });
    redis.pause();
    expect(await (await start(token)).expect('error')).toMatchObject({ code: 'unavailable', retryable: true });
    redis.resume();
    await expect.poll(ready, { timeout: 10_000 }).toBe(200);
    expect((await (await start(token)).next()).type).toBe('offer');
  });

  it('knows the outage without anybody asking', { timeout: 30_000 }, async () => {
    redis.pause();
    await expect.poll(ready, { timeout: 15_000 }).toBe(503);
    redis.resume();
    await expect.poll(ready, { timeout: 15_000 }).toBe(200);
  });
});

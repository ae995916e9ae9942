import { describe, expect, it, onTestFinished } from 'vitest';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import type { MintedToken } from '../support/server.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { startCall } from '../support/ws-client.ts';

/** Stops the part when the test has ended, however that was; what was started last is stopped first. */
const own = <T extends { stop(): Promise<unknown> }>(part: T): T => {
  onTestFinished(async () => {
    await part.stop();
  });
  return part;
};

/** Presents a token once, hangs up at the offer, and tells what came of it: the session, or the refusal's code. */
const present = async ({ wsUrl }: ServerProcess, { token, endpoint_id }: MintedToken, early: boolean) => {
  const socket = await startCall(wsUrl, { token, endpoint_id }, { early, timeoutMs: 60_000 });
  const first = await socket.next();
  if (first.type === 'offer') socket.send({ type: 'hangup' });
  await socket.closing();
  if (first.type === 'offer') return { session: first.session.id };
  if (first.type === 'error') return { refusal: first.code };
  throw new Error(`the first frame was ${first.type}`);
};

type Outcome = Awaited<ReturnType<typeof present>>;

const presentFrom = (servers: readonly ServerProcess[], token: MintedToken, presenters: number): Promise<Outcome[]> =>
  Promise.all(
    Array.from({ length: presenters }, (_, index) => present(servers[index % servers.length]!, token, index % 4 >= 2)),
  );

const sessionsOf = (outcomes: readonly Outcome[]): string[] => outcomes.flatMap(({ session }) => session ?? []);
const refusalsOf = (outcomes: readonly Outcome[]): string[] => outcomes.flatMap(({ refusal }) => refusal ?? []);

/** Runs the work over all items, so many at a time. */
const eachOf = async <T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> => {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of rest) await work(item);
    }),
  );
};

const mintMany = (deployment: Deployment, server: ServerProcess, count: number): Promise<MintedToken[]> =>
  Promise.all(Array.from({ length: count }, () => deployment.mint(server, 'ep_echo', { ttl_seconds: 600 })));

describe('two gateways on one Redis', { retry: 0 }, () => {
  it('give each of 200 tokens to exactly one of 50 presenters', { timeout: 240_000 }, async () => {
    const redis = own(await TestRedis.start());
    const deployment = own(await Deployment.create({ redisUrl: redis.url }));
    const servers = await Promise.all([deployment.server(), deployment.server()]);
    const tokens = await mintMany(deployment, servers[0]!, 200);

    const since = performance.now();
    await eachOf(tokens, 6, async (token) => {
      const outcomes = await presentFrom(servers, token, 50);
      expect(sessionsOf(outcomes)).toHaveLength(1);
      expect(refusalsOf(outcomes)).toEqual(Array(49).fill('token_used'));
      expect((await deployment.read(servers[1]!, token.id)).session).toMatchObject({
        id: sessionsOf(outcomes)[0],
        end_reason: 'completed',
      });
    });
    console.info(`10,000 presentations took ${((performance.now() - since) / 1000).toFixed(1)} s`);
  });

  it('never give a token away twice while connections to Redis are cut', { timeout: 120_000 }, async () => {
    const redis = own(await TestRedis.start());
    const proxies = [own(await CuttingProxy.start(redis.port)), own(await CuttingProxy.start(redis.port))];
    const deployment = own(await Deployment.create({ redisUrl: redis.url }));
    const servers = await Promise.all(proxies.map(({ url }) => deployment.server({ REDIS_URL: url })));
    const tokens = await mintMany(deployment, servers[0]!, 24);

    const winners = new Map<string, string[]>();
    for (const proxy of proxies) proxy.chance = 0.05;
    await eachOf(tokens, 4, async (token) => {
      const outcomes = await presentFrom(servers, token, 20);
      winners.set(token.id, sessionsOf(outcomes));
      expect(sessionsOf(outcomes).length).toBeLessThanOrEqual(1);
      expect(['token_used', 'unavailable']).toEqual(expect.arrayContaining(refusalsOf(outcomes)));
    });
    for (const proxy of proxies) proxy.chance = 0;
    expect(proxies.map(({ cuts }) => cuts > 0)).toEqual([true, true]);

    for (const [id, [session]] of winners) {
      if (session === undefined) continue;
      // Ends are repeated until they are stored.
      await expect
        .poll(() => deployment.read(servers[0]!, id), { timeout: 15_000 })
        .toMatchObject({ status: 'completed', session: { id: session, end_reason: 'completed' } });
    }
    expect([...winners.values()].flat().length).toBeGreaterThan(0);
  });

  it('refuse a burned token after Redis came back from a snapshot taken before the burn', async () => {
    const redis = own(await TestRedis.start());
    const deployment = own(await Deployment.create({ redisUrl: redis.url }));
    const server = await deployment.server();
    const token = await deployment.mint(server, 'ep_echo', { ttl_seconds: 600 });
    await redis.cli('SAVE');
    expect(await present(server, token, false)).toHaveProperty('session');

    await redis.kill();
    await redis.boot();
    expect(await redis.cli('DBSIZE')).not.toBe('0');
    await expect.poll(() => isReady(server), { timeout: 10_000 }).toBe(true);
    expect(await present(server, token, false)).toEqual({ refusal: 'token_unknown' });
    expect(await present(server, await deployment.mint(server, 'ep_echo'), true)).toHaveProperty('session');
  });

  it('refuse a burned token on a replica that was promoted without the burn', async () => {
    const master = own(await TestRedis.start());
    const replica = own(await TestRedis.start());
    await replica.follow(master);
    const deployment = own(await Deployment.create({ redisUrl: master.url }));
    const before = await deployment.server();
    const token = await deployment.mint(before, 'ep_echo', { ttl_seconds: 600 });
    await master.replicated();
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    expect(await present(before, token, false)).toHaveProperty('session');
    await master.kill();

    const after = await deployment.server({ REDIS_URL: replica.url });
    expect(await replica.cli('DBSIZE')).not.toBe('0');
    expect(await present(after, token, false)).toEqual({ refusal: 'token_unknown' });
    expect(await deployment.read(after, token.id)).toMatchObject({ status: 'expired' });
  });
});

const isReady = ({ url }: ServerProcess): Promise<boolean> => fetch(`${url}/readyz`).then(({ ok }) => ok);

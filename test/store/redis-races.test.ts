import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { NewCallToken } from '../../src/store/store.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { HELD } from '../support/held.ts';
import type { Presented } from '../support/presenter.ts';
import { TestRedis } from '../support/redis.ts';
import { newSessionId, newToken } from '../support/store-contract.ts';

const silent = { warn: () => undefined };
let redis: TestRedis;
let store: RedisTokenStore;
beforeAll(async () => {
  redis = await TestRedis.start();
  store = new RedisTokenStore(redis.url, { log: silent });
});
afterAll(async () => {
  await store.close();
  await redis.stop();
});

const issue = async (count: number): Promise<NewCallToken[]> => {
  const tokens = Array.from({ length: count }, () => newToken());
  await Promise.all(tokens.map((token) => store.issue(token)));
  return tokens;
};

test('200 tokens, 50 presenters each across two processes: one session and 49 refusals a token', {
  retry: 0,
}, async () => {
  const ids = (await issue(200)).map(({ id }) => id);
  const gateways = [1, 2].map((): ChildProcess => fork(new URL('../support/presenter.ts', import.meta.url)));
  const answer = async (gateway: ChildProcess): Promise<unknown> => {
    const [first] = await Promise.race([once(gateway, 'message'), once(gateway, 'exit')]);
    return first;
  };
  const exits = gateways.map((gateway) => once(gateway, 'exit'));
  try {
    const connected = gateways.map(answer);
    for (const gateway of gateways) gateway.send({ url: redis.url, endpointId: 'ep_echo', ids, presenters: 25 });
    await Promise.all(connected);
    const presented = gateways.map(answer);
    for (const gateway of gateways) gateway.send('go');
    const [first, second] = (await Promise.all(presented)) as [Presented[], Presented[]];
    await Promise.all(exits);
    for (const [index, id] of ids.entries()) {
      const winners = [...first[index]!.winners, ...second[index]!.winners];
      expect(winners).toHaveLength(1);
      expect((first[index]!.refusals.token_used ?? 0) + (second[index]!.refusals.token_used ?? 0)).toBe(49);
      expect((await store.read(id))?.session?.id).toBe(winners[0]);
    }
  } finally {
    for (const gateway of gateways) gateway.kill();
  }
});

test('connections cut at random moments: never two winners, and the others hear used or unavailable', {
  retry: 0,
}, async () => {
  const proxy = await CuttingProxy.start(redis.port);
  onTestFinished(() => proxy.stop());
  const gateways = Array.from({ length: 4 }, () => new RedisTokenStore(proxy.url, { log: silent }));
  for (const gateway of gateways) onTestFinished(() => gateway.close());
  const tokens = await issue(60);
  await Promise.all(gateways.map((gateway) => gateway.peek(tokens[0]!.id)));
  proxy.chance = 0.08;

  /** What every session heard, by token. */
  const heard = new Map(tokens.map(({ id }) => [id, new Map<string, string>()]));
  const present = async (token: NewCallToken, gateway: RedisTokenStore): Promise<void> => {
    const sessionId = newSessionId();
    const answer = await gateway.burn({ ...HELD, ...token, sessionId }).then(
      (result) => (result.burned ? 'burned' : result.refusal),
      (error: unknown) => (error instanceof CallgateError ? error.code : Promise.reject(error)),
    );
    heard.get(token.id)?.set(sessionId, answer);
  };
  for (const token of tokens) {
    await Promise.all(gateways.flatMap((gateway) => [1, 2, 3].map(() => present(token, gateway))));
    await sleep(Math.random() * 10);
  }
  proxy.chance = 0;

  expect(proxy.cuts).toBeGreaterThan(10);
  for (const [id, answers] of heard) {
    const winners = [...answers].filter(([, answer]) => answer === 'burned').map(([sessionId]) => sessionId);
    expect(winners.length).toBeLessThanOrEqual(1);
    expect(['burned', 'token_used', 'unavailable']).toEqual(expect.arrayContaining([...new Set(answers.values())]));
    // Whoever holds the record heard yes, or nothing at all: a reply that was lost never turned into a refusal.
    const holder = (await store.read(id))?.session?.id;
    if (holder) expect(['burned', 'unavailable']).toContain(answers.get(holder));
    if (winners.length > 0) expect(holder).toBe(winners[0]);
  }
});

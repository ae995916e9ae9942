import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { HeldSession } from '../../src/store/store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { HELD } from '../support/held.ts';
import { TestRedis } from '../support/redis.ts';
import { newSessionId, newToken } from '../support/store-contract.ts';

const LEASES = 300;

let redis: TestRedis;
let store: RedisTokenStore;
let leases: HeldSession[];
let told: [message: string, fields: Record<string, unknown>][];
beforeEach(async () => {
  redis = await TestRedis.start();
  told = [];
  const log = { warn: (fields: object, message: string) => void told.push([message, { ...fields }]) };
  store = new RedisTokenStore(redis.url, { log, tickMs: 500 });
  leases = Array.from({ length: LEASES }, () => ({
    ...HELD,
    tokenId: newTokenId(),
    endpointId: 'ep_refused',
    sessionId: newSessionId(),
  }));
  await store.renew(leases);
});
afterEach(async () => {
  await store.close();
  await redis.stop();
});

const commands = async (): Promise<number> =>
  Number(/total_commands_processed:(\d+)/.exec(await redis.cli('INFO', 'stats'))?.[1]);

/** How many commands reached Redis while `work` went on. */
const counted = async (work: () => Promise<unknown>): Promise<number> => {
  const before = await commands();
  await work();
  return (await commands()) - before;
};

/** What was told of the store, and what of its user. */
const toldOf = (what: 'the token store' | 'the user') => told.filter(([message]) => message.startsWith(what));

const refusals: {
  reason: string;
  begin: () => Promise<unknown>;
  end: () => Promise<unknown>;
  /** What is then looked for again until it is there. */
  lacks?: string[];
}[] = [
  {
    reason: 'NOREPLICAS',
    begin: () => redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '1'),
    end: () => redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '0'),
  },
  {
    reason: 'OOM',
    begin: () => redis.cli('CONFIG', 'SET', 'maxmemory', '1'),
    end: () => redis.cli('CONFIG', 'SET', 'maxmemory', '0'),
  },
  {
    reason: 'READONLY',
    begin: async () => {
      const master = await TestRedis.start();
      onTestFinished(() => master.stop());
      await redis.follow(master);
    },
    end: () => redis.cli('REPLICAOF', 'NO', 'ONE'),
    lacks: ['a master: this is a replica'],
  },
];

describe.each(refusals)('a Redis that refuses writes with $reason', ({ reason, begin, end, lacks }) => {
  test('is asked once for each lease of a round, told once, and told once more when it is over', async () => {
    const warnings: string[] = [];
    const warn = ({ message }: Error) => void warnings.push(message);
    process.on('warning', warn);
    onTestFinished(() => void process.off('warning', warn));
    const healthy = await counted(() => store.renew(leases));
    await begin();
    const refused = await counted(async () => {
      await expect(store.renew(leases)).rejects.toMatchObject({ code: 'unavailable' });
      await sleep(1500);
    });
    // A script that goes through counts with each command that it runs. The probes of 1.5 s are a few.
    expect(refused).toBeLessThan(healthy);
    expect(store.ready).toBe(false);
    // Reads are answered all the while, and change nothing about that.
    await store.read(newTokenId()).catch(() => undefined);
    expect(store.ready).toBe(false);
    await expect(store.renew(leases)).rejects.toMatchObject({ code: 'unavailable' });
    expect(toldOf('the token store')).toEqual([['the token store cannot be used', { reason }]]);
    expect(toldOf('the user').map(([, fields]) => fields)).toEqual(lacks ? [{ lacks }] : []);

    await end();
    await expect.poll(() => store.ready, { timeout: 5000 }).toBe(true);
    await store.renew(leases);
    expect(toldOf('the token store').slice(1)).toEqual([
      ['the token store can be used again', { after_ms: expect.any(Number) }],
    ]);
    await expect.poll(() => toldOf('the user').length, { timeout: 5000 }).toBe(lacks ? 2 : 0);
    expect(warnings).toEqual([]);
  });

  test('costs a mint a few tries, each after a longer pause', async () => {
    const healthy = await counted(() => store.issue(newToken()));
    await begin();
    const mint = () => store.issue(newToken());
    const refused = await counted(() => expect(mint()).rejects.toMatchObject({ code: 'unavailable', retryable: true }));
    // About eight tries of two steps, and the probes meanwhile; looking for what lacks is about forty commands.
    expect(refused).toBeLessThan(100 + healthy + (lacks ? 100 : 0));
  });
});

import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { TOKEN_SCRIPTS } from '../../src/store/redis/token-scripts.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { LEASE_MS, RETENTION_MS } from '../../src/store/store.ts';
import { parseTokenId } from '../../src/tokens/claims.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { rate } from '../shared/rates.ts';
import { inRounds, type Row, row, type Setting } from './measure.ts';

const ENDPOINT = 'ep_bench';
const IN_FLIGHT = 64;
const NODE = 'n_benchmrk';
/** As long as those of a call. */
const TICKETS = ['x'.repeat(43)];
const RESUME = JSON.stringify({
  media: { audio: 'sendrecv', video: 'sendrecv' },
  fresh: true,
  participant: 'p_xxxxxxxxxxxx',
});

/** Burns a second through the store, beside a bare EVALSHA loop of the same script on the same Redis. */
export async function benchBurns(setting: Setting): Promise<Row[]> {
  const burns = setting.pick(10_000, 5000);
  const burned = row('burns', '/s', { aim: '≥ 0.80', floorIs: 'EVALSHA of the same script' });
  const store = new RedisTokenStore(setting.redisUrl, { log: { warn: () => undefined } });
  const raw = new Redis(setting.redisUrl);
  try {
    const sha = createHash('sha1').update(TOKEN_SCRIPTS.callgateBurn).digest('hex');
    await raw.script('LOAD', TOKEN_SCRIPTS.callgateBurn);
    await inRounds(setting, 'burns', async (record) => {
      const [first, second] = [await issue(store, burns), await issue(store, burns)];
      const ours = await rate(burns, IN_FLIGHT, async (index) => {
        const ids = { id: first[index]!, endpointId: ENDPOINT, sessionId: `sess_${index}` };
        const result = await store.burn({ ...ids, node: NODE, tickets: TICKETS, resume: RESUME });
        if (!result.burned) throw new Error(result.refusal);
      });
      const floor = await rate(burns, IN_FLIGHT, (index) => {
        const { family, random } = parseTokenId(second[index]!)!;
        const key = `callgate:{${family}}:${random}`;
        const lease = [`sess_${index}`, Date.now() + LEASE_MS, LEASE_MS, RETENTION_MS];
        return raw.evalsha(sha, 1, key, ENDPOINT, ...lease, NODE, TICKETS.join(), RESUME);
      });
      if (!record) return;
      burned.ours.push(ours);
      burned.floor.push(floor);
    });
    return [burned];
  } finally {
    await store.close();
    raw.disconnect();
  }
}

async function issue(store: RedisTokenStore, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => newTokenId());
  await rate(count, IN_FLIGHT, (index) =>
    store.issue({ id: ids[index]!, endpointId: ENDPOINT, team: 'team', ttlSeconds: 600, maxDurationSeconds: 60 }),
  );
  return ids;
}

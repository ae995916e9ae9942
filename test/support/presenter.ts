import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { HELD } from './held.ts';

/**
 * A gateway process of its own, for the tests: told the store, an endpoint, tokens and how many sessions present each,
 * it presents them all at once and says for every token who won and what the others heard.
 */
interface Task {
  url: string;
  endpointId: string;
  ids: string[];
  presenters: number;
}

export interface Presented {
  winners: string[];
  refusals: Record<string, number>;
}

/** Tokens presented at the same time; a machine that runs other tests as well has to keep up. */
const TOKENS_AT_ONCE = 20;

async function present(store: RedisTokenStore, { endpointId, ids, presenters }: Task): Promise<Presented[]> {
  const results = ids.map((): Presented => ({ winners: [], refusals: {} }));
  const presentOne = async (id: string, presenter: number): Promise<void> => {
    const sessionId = `sess_${process.pid}_${presenter}`;
    const result = await store.burn({ ...HELD, id, endpointId, sessionId });
    const { winners, refusals } = results[ids.indexOf(id)]!;
    if (result.burned) winners.push(sessionId);
    else refusals[result.refusal] = (refusals[result.refusal] ?? 0) + 1;
  };
  for (let start = 0; start < ids.length; start += TOKENS_AT_ONCE) {
    const some = ids.slice(start, start + TOKENS_AT_ONCE);
    const rounds = Array.from({ length: presenters }, (_, presenter) => some.map((id) => presentOne(id, presenter)));
    await Promise.all(rounds.flat());
  }
  return results;
}

process.once('message', async (task: Task) => {
  const store = new RedisTokenStore(task.url, { log: { warn: console.error } });
  await store.peek(task.ids[0]!);
  process.send?.('connected');
  process.once('message', async () => {
    process.send?.(await present(store, task));
    await store.close();
    process.disconnect();
  });
});

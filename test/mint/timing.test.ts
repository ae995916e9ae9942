import { hash } from 'node:crypto';
import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { TokenStore } from '../../src/store/store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { startApi, type TestApi, testDirectory } from '../support/api.ts';
import { TestRedis } from '../support/redis.ts';

const SAMPLES = 200;
const WARM_UPS = 50;
/**
 * How far the chance that one answer takes longer than the other may be from even. Of 200 and 200 samples of the same it is
 * less in all but one of two thousand, however busy the machine: both are taken in turns.
 */
const MAX_BIAS = 0.1;
const ATTEMPTS = 3;

const TEAMS = ['a', 'b', 'c'].map((name) => ({ name, key: `cgk_${name}_secret-of-${name}`, endpoint: `ep_${name}` }));
type Team = (typeof TEAMS)[number];
const PAIRS = TEAMS.flatMap((asking) => TEAMS.filter((asked) => asked !== asking).map((asked) => ({ asking, asked })));

const TENANTS = JSON.stringify({
  teams: TEAMS.map(({ name, key, endpoint }) => ({
    id: `team_${name}`,
    features: { webrtc: true },
    mint_rate: { limit: 1_000_000, window_seconds: 60 },
    api_keys: [{ id: name, sha256: hash('sha256', key), scopes: ['CREATE_CALL_TOKEN', 'READ_CALL_TOKEN'] }],
    flows: [{ id: 'live', state: 'live' }],
    endpoints: [{ id: endpoint, flow: 'live', webrtc: true, target: { kind: 'echo' } }],
  })),
});

/** What is asked for: something of another team's, or something that is not there. */
interface Thing {
  id: string;
  endpoint: string;
}
interface Ask {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: object;
}
type Call = (thing: Thing) => Ask;
const minting: Call = ({ endpoint }) => ({ method: 'POST', path: '', body: { endpoint_id: endpoint } });
const reading: Call = ({ id }) => ({ method: 'GET', path: `/${id}` });
const CALLS: [name: string, call: Call][] = [
  ['minting', minting],
  ['listing', ({ endpoint }) => ({ method: 'GET', path: `?endpoint_id=${endpoint}` })],
  ['reading', reading],
  ['refreshing', ({ id }) => ({ method: 'POST', path: `/${id}/refresh`, body: {} })],
  ['revoking', ({ id }) => ({ method: 'DELETE', path: `/${id}` })],
];

const quiet = pino({ level: 'silent' });
// One connection, so that none is opened while the time is taken.
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Asks over real HTTP; answers what came and how many milliseconds it took to the last byte. */
async function timed({ url }: TestApi, { key }: Team, { method, path, body }: Ask) {
  const json = body && JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${key}`,
    ...(json && { 'content-type': 'application/json', 'content-length': json.length }),
  };
  const since = performance.now();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(`${url}/v1/call-tokens${path}`, { agent, method, headers }, resolve).on('error', reject).end(json);
  });
  const answer = await text(response);
  return { ms: performance.now() - since, status: response.statusCode, answer };
}

/** The chance that one of `times` is longer than one of `others`, less a half (Mann and Whitney's U as an effect size). */
function bias(times: readonly number[], others: readonly number[]): number {
  let longer = 0;
  for (const time of times) for (const other of others) longer += time > other ? 1 : time === other ? 0.5 : 0;
  return longer / (times.length * others.length) - 0.5;
}

/** A foolish server: more of something for a token that is there. */
type Leak = [what: string, leak: (store: TokenStore, id: string) => unknown];
const WORK: Leak = ['0.3 ms of work', () => spin(0.3)];
const QUESTION: Leak = ['one more question to the store', (store, id) => store.peek(id)];

const openMemory = async () => ({ store: new MemoryTokenStore(), stop: async (): Promise<void> => undefined });
const openRedis = async () => {
  const redis = await TestRedis.start();
  return { store: new RedisTokenStore(redis.url, { log: quiet }), stop: () => redis.stop() };
};

describe.each([
  { where: 'memory', open: openMemory, leaks: [WORK] },
  { where: 'Redis', open: openRedis, leaks: [WORK, QUESTION] },
])('with a store in $where, how long an answer takes tells a team nothing of another', ({ open, leaks }) => {
  let api: TestApi;
  let store: MemoryTokenStore | RedisTokenStore;
  let stop: () => Promise<void>;
  /** Tokens of each team that wait to be used. */
  const waiting = new Map<Team, string[]>();

  beforeAll(async () => {
    ({ store, stop } = await open());
    api = await startApi({ directory: { current: testDirectory(TENANTS) }, store, log: quiet });
    const mint = async (team: Team): Promise<string> => {
      const { answer } = await timed(api, team, minting({ id: '', endpoint: team.endpoint }));
      return JSON.parse(answer).id;
    };
    for (const team of TEAMS) waiting.set(team, await Promise.all(Array.from({ length: 5 }, () => mint(team))));
  });
  afterAll(async () => {
    await api?.[Symbol.asyncDispose]();
    await store?.close();
    await stop?.();
  });

  async function measure(ask: Call, { asking, asked }: (typeof PAIRS)[number], count: number) {
    const theirs = waiting.get(asked) ?? [];
    const times = { foreign: [] as number[], none: [] as number[] };
    const take = async (kind: keyof typeof times, thing: Thing): Promise<void> => {
      const { ms, status } = await timed(api, asking, ask(thing));
      if (status === 201 || status === 204 || (status ?? 500) >= 500) throw new Error(`the answer was ${status}`);
      times[kind].push(ms);
    };
    for (let i = 0; i < count; i++) {
      const foreign = () => take('foreign', { id: theirs[i % theirs.length]!, endpoint: asked.endpoint });
      const none = () => take('none', { id: newTokenId(), endpoint: 'ep_z' });
      for (const next of i % 2 ? [foreign, none] : [none, foreign]) await next();
    }
    return bias(times.foreign, times.none);
  }

  /** Whether the two can be told apart: not where fresh samples show it no more. */
  async function areApart(ask: Call, pair: (typeof PAIRS)[number]): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (Math.abs(await measure(ask, pair, SAMPLES)) < MAX_BIAS) return false;
    }
    return true;
  }

  it.each(CALLS)('by %s', { timeout: 120_000 }, async (_, ask) => {
    await measure(ask, PAIRS[0]!, WARM_UPS);
    for (const pair of PAIRS) {
      expect(await areApart(ask, pair), `${pair.asking.name} asks for what is ${pair.asked.name}'s`).toBe(false);
    }
  });

  it.each(leaks)('and %s for a token that is there would show', { timeout: 120_000 }, async (_, leak) => {
    const [pair, read] = [PAIRS[0]!, store.read.bind(store)];
    const leaky = vi.spyOn(store, 'read').mockImplementation(async (id, team) => {
      const record = await read(id, team);
      if (waiting.get(pair.asked)?.includes(id)) await leak(store, id);
      return record;
    });
    // On a machine that is busy with other things it may take a calm moment.
    const look = vi.waitUntil(() => areApart(reading, pair), { timeout: 100_000, interval: 0 });
    await look.finally(() => leaky.mockRestore());
  });
});

function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

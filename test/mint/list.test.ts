import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { KEY, MINT_ONLY, OFF_READ_ONLY, OTHER_KEY, READ_ONLY, startApi, type TestApi } from '../support/api.ts';
import { type Call, expectProblem, send } from '../support/api-calls.ts';
import { HELD } from '../support/held.ts';

let api: TestApi;
let store: MemoryTokenStore;
let now = 1_700_000_000_000;
/** Oldest first. */
let ids: string[];

beforeAll(async () => {
  store = new MemoryTokenStore({ now: () => now });
  api = await startApi({ store });
  ids = [];
  for (let i = 0; i < 12; i++) {
    // Some within one millisecond.
    if (i % 3 === 0) now += 1000;
    const body = { endpoint_id: i % 2 ? 'ep_room' : 'ep_echo', metadata: { n: String(i) } };
    ids.push((await (await send(api, { body })).json()).id);
  }
  await store.revoke(ids[3]!);
  await store.burn({ ...HELD, id: ids[4]!, endpointId: 'ep_echo', sessionId: 'sess_1' });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await store.close();
});

const get = (query = '', parts: Call = {}) => send(api, { method: 'GET', path: query, ...parts });
const page = async (query = '', key = KEY) => (await get(query, { key })).json();
const idsOf = ({ data }: { data: { id: string }[] }) => data.map(({ id }) => id);

/** All ids, page by page, with what happened between two pages. */
async function walk(query: string, limit: number, between = async () => undefined as unknown): Promise<string[]> {
  const found: string[] = [];
  let cursor = '';
  for (let pages = 0; pages < 30; pages++) {
    const one = await page(`?limit=${limit}${query}${cursor}`);
    expect(one.data.length).toBeLessThanOrEqual(limit);
    found.push(...idsOf(one));
    if (one.next_cursor === null) return found;
    cursor = `&cursor=${one.next_cursor}`;
    await between();
  }
  throw new Error('the list does not end');
}

describe('the list of call tokens', () => {
  it('shows the records, newest first', async () => {
    const { data, next_cursor } = await page();
    expect(next_cursor).toBeNull();
    expect(data.map((record: { metadata: { n: string } }) => (Number(record.metadata.n) / 3) | 0)).toEqual([
      3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0,
    ]);
    expect([...idsOf({ data })].sort()).toEqual([...ids].sort());
    for (const record of data) {
      expect(record).toEqual(await (await get(`/${record.id}`)).json());
      expect(record).not.toHaveProperty('token');
    }
  });

  it.each([1, 2, 5, 11, 12, 100])(
    'gives every token once in pages of %i, whatever is minted meanwhile',
    async (limit) => {
      const before = idsOf(await page('?limit=100'));
      const found = await walk('', limit, () => {
        now += 1;
        return send(api);
      });
      expect(found).toEqual(before);
    },
  );

  it.each([
    ['&status=revoked', [3]],
    ['&status=active', [4]],
    ['&status=completed', []],
    ['&endpoint_id=ep_room&status=issued', [1, 5, 7, 9, 11]],
    ['&endpoint_id=ep_nowhere', []],
    ['&endpoint_id=ep_other', []],
  ])('filters by %s', async (query, expected) => {
    for (const limit of [1, 2, 50]) {
      expect((await walk(query, limit)).sort()).toEqual(expected.map((i) => ids[i]!).sort());
    }
  });

  it('shows a team its own only', async () => {
    const { id } = await (await send(api, { key: OTHER_KEY, body: { endpoint_id: 'ep_other' } })).json();
    expect(idsOf(await page('?limit=100', OTHER_KEY))).toEqual([id]);
    expect(idsOf(await page('?limit=100'))).not.toContain(id);
    const { next_cursor: cursor } = await page('?limit=1');
    const page2 = await page(`?cursor=${cursor}`, OTHER_KEY);
    expect(idsOf(page2).filter((other) => other !== id)).toEqual([]);
  });

  it('is open to a team whose flag is off, to a key that may only read, and to HEAD', async () => {
    expect(await page('', OFF_READ_ONLY)).toEqual({ data: [], next_cursor: null });
    expect((await get('', { key: READ_ONLY })).status).toBe(200);
    expect((await get('', { method: 'HEAD' })).status).toBe(200);
  });

  it('is closed to a key that may only mint', async () => {
    await expectProblem(await get('?limit=0', { key: MINT_ONLY }), 'scope_missing');
  });

  const forged = Buffer.from('1.ct_1').toString('base64url');
  it.each([
    'limit=0',
    'limit=101',
    'limit=1.5',
    'limit=x',
    'limit=',
    'status=expird',
    'status=issued&status=active',
    'endpoint_id=',
    'team=team_other',
    'cursor=',
    'cursor=abc',
    `cursor=${forged}`,
    `cursor=${'x'.repeat(300)}`,
  ])('refuses ?%s', async (query) => {
    await expectProblem(await get(`?${query}`), 'request_malformed');
  });
});

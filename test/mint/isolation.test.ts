import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newTokenId } from '../../src/tokens/ids.ts';
import { KEY, OTHER_KEY, startApi, type TestApi } from '../support/api.ts';
import { type Call, send } from '../support/api-calls.ts';
import { HELD } from '../support/held.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api[Symbol.asyncDispose]());

const TEAMS = [
  { name: 'team_a', key: KEY, endpoint: 'ep_echo' },
  { name: 'team_other', key: OTHER_KEY, endpoint: 'ep_other' },
] as const;
type Team = (typeof TEAMS)[number];
const [teamA, teamOther] = TEAMS;

/** All that an answer says, but for what differs between any two answers. */
async function answer(parts: Call) {
  const response = await send(api, parts);
  const { date, 'x-request-id': id, ratelimit, ...headers } = Object.fromEntries(response.headers);
  return { status: response.status, headers, body: (await response.text()).replaceAll(id ?? '', '') };
}

const mintAt = async ({ key, endpoint }: Team) => (await send(api, { key, body: { endpoint_id: endpoint } })).json();

/** The states that a token of the other team may be in. */
const STATES: [string, (team: Team) => Promise<string>][] = [
  ['issued', async (team) => (await mintAt(team)).id],
  [
    'revoked',
    async (team) => {
      const { id } = await mintAt(team);
      await api.store.revoke(id);
      return id;
    },
  ],
  [
    'active',
    async (team) => {
      const { id } = await mintAt(team);
      await api.store.burn({ ...HELD, id, endpointId: team.endpoint, sessionId: 'sess_1' });
      return id;
    },
  ],
];

const CALLS: [string, (id: string) => Call][] = [
  ['reading', (id) => ({ method: 'GET', path: `/${id}` })],
  ['refreshing', (id) => ({ path: `/${id}/refresh`, body: {} })],
  ['refreshing with a key', (id) => ({ path: `/${id}/refresh`, body: {}, headers: { 'idempotency-key': 'k' } })],
  ['revoking', (id) => ({ method: 'DELETE', path: `/${id}`, text: '' })],
];

describe.each([
  [teamA, teamOther],
  [teamOther, teamA],
] as const)("a team that asks for another's things ($name)", (asking, asked) => {
  describe.each(STATES)('learns nothing of a token that is %s', (_, make) => {
    it.each(CALLS)('by %s', async (_, request) => {
      const id = await make(asked);
      const before = await api.store.read(id);
      const [foreign, none] = [
        await answer({ ...request(id), key: asking.key }),
        await answer({ ...request(newTokenId()), key: asking.key }),
      ];
      expect(foreign).toEqual(none);
      expect(foreign.status).toBe(404);
      expect(await api.store.read(id)).toEqual(before);
    });
  });

  it('learns nothing of an endpoint by minting or listing', async () => {
    await mintAt(asked);
    for (const request of [
      (endpoint_id: string): Call => ({ body: { endpoint_id } }),
      (endpoint_id: string): Call => ({ body: { endpoint_id, max_duration_seconds: 86_400 } }),
      (endpoint_id: string): Call => ({ method: 'GET', path: `?endpoint_id=${endpoint_id}` }),
    ]) {
      const foreign = await answer({ ...request(asked.endpoint), key: asking.key });
      expect(foreign).toEqual(await answer({ ...request('ep_nowhere'), key: asking.key }));
    }
  });

  it('neither meets its idempotency keys nor walks its list', async () => {
    const headers = { 'idempotency-key': `key of ${asked.name}` };
    const mint = (team: Team) => send(api, { key: team.key, body: { endpoint_id: team.endpoint }, headers });
    const theirs = await (await mint(asked)).json();
    expect((await mint(asking)).status).toBe(201);
    const list = async (team: Team, query = '') =>
      (await send(api, { method: 'GET', path: `?limit=100${query}`, key: team.key })).json();
    const { data } = await list(asking);
    expect(JSON.stringify(data)).not.toContain(theirs.id);
    await mintAt(asked);
    const { next_cursor } = await (await send(api, { method: 'GET', path: '?limit=1', key: asked.key })).json();
    const own = new Set((await list(asking)).data.map(({ id }: { id: string }) => id));
    const page = await list(asking, `&cursor=${next_cursor}`);
    expect(page.data.every(({ id }: { id: string }) => own.has(id))).toBe(true);
  });
});

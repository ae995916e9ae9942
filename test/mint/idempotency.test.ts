import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { KEY, MINT_ONLY, OTHER_KEY, SLOW_KEY, startApi, type TestApi } from '../support/api.ts';
import { type Call, expectProblem, send } from '../support/api-calls.ts';
import { HELD } from '../support/held.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api[Symbol.asyncDispose]());

let count = 0;
const newKey = () => `key-${++count}`;
const keyed = (key: string, parts: Call = {}, to = api) =>
  send(to, { ...parts, headers: { 'idempotency-key': key, ...parts.headers } });
const refresh = (id: string, key: string, body: object = {}) => keyed(key, { path: `/${id}/refresh`, body });

describe('an Idempotency-Key', () => {
  it('gives equal requests the very same answer, whatever the order of their fields', async () => {
    const key = newKey();
    const first = await keyed(key, { body: { endpoint_id: 'ep_echo', ttl_seconds: 30, metadata: { a: '1', b: '2' } } });
    const again = await keyed(key, { body: { metadata: { b: '2', a: '1' }, ttl_seconds: 30, endpoint_id: 'ep_echo' } });
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(await again.json()).toEqual(await first.json());
  });

  it('gives one token to requests of the same moment', async () => {
    const key = newKey();
    const answers = await Promise.all([1, 2, 3, 4].map(async () => (await keyed(key)).json()));
    expect(new Set(answers.map(({ token }) => token)).size).toBe(1);
  });

  it('refuses another body', async () => {
    const key = newKey();
    await keyed(key);
    await expectProblem(await keyed(key, { body: { endpoint_id: 'ep_room' } }), 'idempotency_key_reused');
  });

  it('is looked at after what the request itself lacks, and before the endpoint is found closed', async () => {
    const key = newKey();
    await keyed(key);
    await expectProblem(await keyed(key, { body: {} }), 'endpoint_missing');
    await expectProblem(await keyed(key, { body: { endpoint_id: 'ep_phone' } }), 'endpoint_not_webrtc');
    await expectProblem(await keyed(key, { body: { endpoint_id: 'ep_closed' } }), 'idempotency_key_reused');
  });

  it('means something within its team, and for any key of the team', async () => {
    const key = newKey();
    const { id } = await (await keyed(key)).json();
    const other = await (await keyed(key, { key: OTHER_KEY, body: { endpoint_id: 'ep_other' } })).json();
    const same = await (await keyed(key, { key: MINT_ONLY })).json();
    expect(other.id).not.toBe(id);
    expect(same.id).toBe(id);
  });

  it('refreshes a token once, within the path of that token', async () => {
    const key = newKey();
    const [a, b] = [await (await send(api)).json(), await (await send(api)).json()];
    const answers = await Promise.all([1, 2, 3].map(async () => (await refresh(a.id, key)).json()));
    const successor = answers[0];
    expect(answers).toEqual([successor, successor, successor]);
    expect(successor.status).toBe('issued');
    const empty = await keyed(key, { path: `/${a.id}/refresh`, text: '' });
    expect(await empty.json()).toEqual(successor);
    await expectProblem(await refresh(a.id, key, { ttl_seconds: 5 }), 'idempotency_key_reused');
    expect((await (await refresh(b.id, key)).json()).id).not.toBe(successor.id);
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['burned', (id) => api.store.burn({ ...HELD, id, endpointId: 'ep_echo', sessionId: 'sess_1' })],
    ['revoked', (id) => api.store.revoke(id)],
  ])('of a token that was %s meanwhile is 409', async (_, spend) => {
    const key = newKey();
    const { id } = await (await keyed(key)).json();
    await spend(id);
    await expectProblem(await keyed(key), 'token_not_issued');
  });

  it('remembers nothing that was refused', async () => {
    const key = newKey();
    await expectProblem(await keyed(key, { body: { endpoint_id: 'ep_closed' } }), 'endpoint_disabled');
    expect((await keyed(key)).status).toBe(201);
  });

  it('is forgotten after ten minutes', async () => {
    let now = 1_700_000_000_000;
    const store = new MemoryTokenStore({ now: () => now });
    await using own = await startApi({ store });
    const body = { endpoint_id: 'ep_echo', ttl_seconds: 600 };
    const { id } = await (await keyed('k', { body }, own)).json();
    now += 599_999;
    expect((await (await keyed('k', { body }, own)).json()).id).toBe(id);
    now += 1;
    expect((await (await keyed('k', { body }, own)).json()).id).not.toBe(id);
    await store.close();
  });

  it('that somebody died over is free after five seconds, and equal requests wait for that', async () => {
    const store = new MemoryTokenStore();
    let isDown = true;
    const issue: MemoryTokenStore['issue'] = async (token) => {
      if (!isDown) return store.issue(token);
      isDown = false;
      throw new CallgateError('unavailable', { retryable: true });
    };
    const { idempotency, mintRate } = store;
    const steps = { issue, idempotency, mintRate, ready: true };
    const rest = { read: store.read.bind(store), refresh: store.refresh.bind(store), list: store.list.bind(store) };
    await using own = await startApi({ store: { ...steps, ...rest, revoke: store.revoke.bind(store) } });
    await expectProblem(await keyed('k', {}, own), 'unavailable');
    const started = performance.now();
    const answers = await Promise.all([1, 2].map(async () => (await keyed('k', {}, own)).json()));
    expect(performance.now() - started).toBeGreaterThan(4000);
    expect(answers[0].id).toBe(answers[1].id);
    await store.close();
  }, 20_000);

  it.each([
    ['an empty one', ''],
    ['256 characters', 'x'.repeat(256)],
    ['other than ASCII', 'é'],
    ['a tab', 'a\tb'],
  ])('%s is refused', async (_, key) => {
    await expectProblem(await keyed(key), 'request_malformed', /^idempotency-key: /);
  });

  it('may be 255 characters, spaces among them', async () => {
    expect((await keyed(`"a ${'x'.repeat(251)}"`)).status).toBe(201);
  });
});

describe('the mint rate', () => {
  const body = { endpoint_id: 'ep_slow' };
  const mint = (to: TestApi, parts: Call = {}) => send(to, { key: SLOW_KEY, body, ...parts });

  it('is one limit for mint and refresh, told in every answer', async () => {
    await using own = await startApi();
    const first = await mint(own);
    expect(first.headers.get('ratelimit-policy')).toBe('"mint";q=2;w=60');
    expect(first.headers.get('ratelimit')).toMatch(/^"mint";r=1;t=\d+$/);
    const { id } = await first.json();
    expect((await mint(own, { path: `/${id}/refresh`, body: {} })).headers.get('ratelimit')).toMatch(/^"mint";r=0;/);
    for (const path of ['', `/${id}/refresh`]) {
      const refused = await mint(own, { path, headers: { 'content-type': 'text/xml' } });
      const seconds = Number(refused.headers.get('retry-after'));
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThanOrEqual(60);
      expect(refused.headers.get('ratelimit')).toBe(`"mint";r=0;t=${seconds}`);
      await expectProblem(refused, 'rate_limited');
    }
  });

  it('leaves other teams, reading, listing and revoking alone', async () => {
    await using own = await startApi();
    const { id } = await (await mint(own)).json();
    for (let i = 0; i < 3; i++) await mint(own);
    expect((await mint(own)).status).toBe(429);
    expect((await send(own, { key: KEY })).status).toBe(201);
    expect((await mint(own, { method: 'GET' })).status).toBe(200);
    const read = await mint(own, { method: 'GET', path: `/${id}` });
    expect([read.status, read.headers.get('ratelimit')]).toEqual([200, null]);
    expect((await mint(own, { method: 'DELETE', path: `/${id}`, text: '' })).status).toBe(204);
  });

  it('comes back when the window ends', async () => {
    await using own = await startApi();
    const rule = { limit: 1, windowSeconds: 1 };
    const take = () => own.store.mintRate.take('team_x', rule);
    expect([(await take()).allowed, (await take()).allowed]).toEqual([true, false]);
    await sleep(1100);
    expect((await take()).allowed).toBe(true);
  });
});

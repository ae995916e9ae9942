import { fork } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { expectProblem, send } from '../support/api-calls.ts';
import { HELD } from '../support/held.ts';
import { TestRedis } from '../support/redis.ts';

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

const refresh = (to: Pick<TestApi, 'url'>, id: string, key: string, body: object = {}) =>
  send(to, { path: `/${id}/refresh`, headers: { 'idempotency-key': key }, body });

const stores = [
  { name: 'memory', open: () => new MemoryTokenStore() },
  { name: 'Redis', open: () => new RedisTokenStore(redis.url, { log: { warn: () => undefined } }) },
];

describe.each(stores)('a refresh whose key could not be stored, in $name', ({ open }) => {
  it('gives the same token to the next request with that key, and refuses others', async () => {
    const store = open();
    onTestFinished(() => store.close());
    await using api = await startApi({ store });
    const old = await (await send(api)).json();
    const { idempotency } = store;
    const [settle, claim] = [idempotency.settle.bind(idempotency), idempotency.claim.bind(idempotency)];
    const away = async () => {
      throw new CallgateError('unavailable', { retryable: false });
    };
    idempotency.settle = away;
    await expectProblem(await refresh(api, old.id, 'k'), 'unavailable');
    idempotency.claim = away;
    await expectProblem(await refresh(api, old.id, 'k'), 'unavailable');
    Object.assign(idempotency, { settle, claim });

    const { id: successor } = (await store.list({ team: 'team_a', limit: 1 })).records[0]!;
    await expectProblem(await refresh(api, old.id, 'k', { ttl_seconds: 9 }), 'idempotency_key_reused');
    await expectProblem(await refresh(api, old.id, 'another'), 'token_not_issued');
    const answers = await Promise.all([1, 2, 3].map(async () => (await refresh(api, old.id, 'k')).json()));
    expect(new Set(answers.map(({ token }) => token)).size).toBe(1);
    expect(answers[0]).toMatchObject({ id: successor, status: 'issued', endpoint_id: 'ep_echo' });
    expect((await store.list({ team: 'team_a', limit: 100, status: 'issued' })).records.map(({ id }) => id)).toEqual([
      successor,
    ]);

    await store.burn({ ...HELD, id: successor, endpointId: 'ep_echo', sessionId: 'sess_a' });
    await expectProblem(await refresh(api, old.id, 'k'), 'token_not_issued');
    await store.revoke(successor);
    await store.finish({ ...HELD, id: successor, sessionId: 'sess_a', reason: 'revoked' });
  });
});

it('a refresh whose process is killed before its key is stored is answered by another one', async () => {
  const child = fork(new URL('../support/dying-api.ts', import.meta.url), [redis.url]);
  const [exited, listening] = [once(child, 'exit'), once(child, 'message')];
  const store = new RedisTokenStore(redis.url, { log: { warn: () => undefined } });
  onTestFinished(() => store.close());
  await using api = await startApi({ store });
  const old = await (await send(api)).json();
  const [url] = await listening;
  await expect(refresh({ url: String(url) }, old.id, 'k')).rejects.toThrow('fetch failed');
  expect(await exited).toEqual([null, 'SIGKILL']);
  expect(await store.read(old.id)).toMatchObject({ status: 'revoked' });

  const answer = await refresh(api, old.id, 'k');
  expect(answer.status).toBe(201);
  const { id } = await answer.json();
  expect(await store.burn({ ...HELD, id, endpointId: 'ep_echo', sessionId: 'sess_b' })).toMatchObject({ burned: true });
}, 60_000);

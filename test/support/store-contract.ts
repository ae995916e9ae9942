import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NewCallToken, TokenStore } from '../../src/store/store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { HELD } from './held.ts';

/** Short enough that a lapse can be waited for. */
export const TEST_LEASE_MS = 800;

let count = 0;
export const newSessionId = (): string => `sess_${++count}_${process.pid}`;

export const newToken = (changes: Partial<NewCallToken> = {}): NewCallToken => ({
  id: newTokenId(),
  endpointId: 'ep_echo',
  team: 'team_demo',
  ttlSeconds: 60,
  maxDurationSeconds: 3600,
  ...changes,
});

/** What every `TokenStore` has to do; `open` makes a store whose leases last `TEST_LEASE_MS`. */
export function describeTokenStore(name: string, open: () => TokenStore): void {
  describe(`the token store in ${name}`, () => {
    let store: TokenStore;
    beforeEach(() => {
      store = open();
    });
    afterEach(() => store.close());

    const issue = async (changes: Partial<NewCallToken> = {}) => {
      const token = newToken(changes);
      await store.issue(token);
      return token;
    };
    const burn = ({ id, endpointId }: NewCallToken, sessionId = newSessionId()) =>
      store.burn({ ...HELD, id, endpointId, sessionId });
    const refused = (refusal: string) => ({ burned: false, refusal });

    test('an issued token reads as it was minted', async () => {
      const token = newToken({ metadata: { user: 'ü "42"' }, ttlSeconds: 30, maxDurationSeconds: 90 });
      const times = await store.issue(token);
      expect(times.expiresAt - times.createdAt).toBe(30_000);
      expect(Math.abs(times.createdAt - Date.now())).toBeLessThan(10_000);
      expect(await store.read(token.id)).toEqual({ ...token, ...times, status: 'issued' });
    });

    test('a token is read for its own team only, where a team asks', async () => {
      const token = await issue();
      expect(await store.read(token.id, token.team)).toEqual(await store.read(token.id));
      expect(await store.read(token.id, 'team_other')).toBeUndefined();
      expect(await store.read(newToken().id, token.team)).toBeUndefined();
    });

    test('an id can be issued once', async () => {
      const token = await issue();
      await burn(token);
      await expect(store.issue(token)).rejects.toThrow('taken');
    });

    test('a malformed id is refused at the mint and unknown everywhere else', async () => {
      const id = 'ct_{a}_b';
      await expect(store.issue(newToken({ id }))).rejects.toThrow(TypeError);
      expect(await burn(newToken({ id }))).toEqual(refused('token_unknown'));
      expect(await store.peek(id)).toBe('token_unknown');
      expect(await store.read(id)).toBeUndefined();
      expect(await store.revoke(id)).toBe('unknown');
      expect(await store.finish({ ...HELD, id, sessionId: 'sess_1', reason: 'completed' })).toBe(false);
    });

    test('a burn starts the session and counts from there', async () => {
      const token = await issue({ maxDurationSeconds: 120 });
      const result = await burn(token, 'sess_a');
      expect(result).toMatchObject({ burned: true, remainingMs: 120_000 });
      if (!result.burned) return;
      expect(result.expiresAt - result.startedAt).toBe(120_000);
      const record = await store.read(token.id);
      expect(record?.status).toBe('active');
      expect(record?.session).toEqual({ id: 'sess_a', startedAt: result.startedAt, expiresAt: result.expiresAt });
    });

    test('of many sessions at once exactly one wins, and the rest hear that the token is used', {
      retry: 0,
    }, async () => {
      const token = await issue();
      const results = await Promise.all(Array.from({ length: 50 }, () => burn(token)));
      expect(results.filter(({ burned }) => burned)).toHaveLength(1);
      expect(results.filter((result) => !result.burned && result.refusal === 'token_used')).toHaveLength(49);
    });

    test('the winner asking again gets the same yes with what then remains', async () => {
      const token = await issue();
      const first = await burn(token, 'sess_a');
      await sleep(30);
      const second = await burn(token, 'sess_a');
      if (!first.burned || !second.burned) throw new Error('the winner was refused');
      expect(second).toMatchObject({ startedAt: first.startedAt, expiresAt: first.expiresAt });
      expect(second.remainingMs).toBeLessThan(first.remainingMs);
      expect(await burn(token, 'sess_b')).toEqual(refused('token_used'));
    });

    test('a finished session cannot burn its token again', async () => {
      const token = await issue();
      await burn(token, 'sess_a');
      expect(await store.finish({ ...HELD, id: token.id, sessionId: 'sess_a', reason: 'completed' })).toBe(true);
      expect(await burn(token, 'sess_a')).toEqual(refused('token_used'));
    });

    test('a token is unknown at another endpoint and stays good for its own', async () => {
      const token = await issue();
      expect(await burn({ ...token, endpointId: 'ep_other' })).toEqual(refused('token_unknown'));
      expect(await burn(newToken())).toEqual(refused('token_unknown'));
      expect(await burn(token)).toMatchObject({ burned: true });
    });

    test('an expired token is refused and reads as expired', async () => {
      const token = await issue({ ttlSeconds: 0.05 });
      await sleep(70);
      expect(await burn(token)).toEqual(refused('token_expired'));
      expect(await store.peek(token.id)).toBe('token_expired');
      expect(await store.revoke(token.id)).toBe('ended');
      expect((await store.read(token.id))?.status).toBe('expired');
    });

    test('expiry of the token does not end the session that burned it in time', async () => {
      const token = await issue({ ttlSeconds: 0.5 });
      await burn(token, 'sess_a');
      await sleep(520);
      expect(await burn(token, 'sess_a')).toMatchObject({ burned: true });
      expect((await store.read(token.id))?.status).toBe('active');
    });

    test('a revoked token is refused, and revoking it again changes nothing', async () => {
      const token = await issue();
      expect(await store.revoke(token.id)).toBe('revoked');
      const record = await store.read(token.id);
      expect(record).toMatchObject({ status: 'revoked', revokedAt: expect.any(Number) });
      expect(await burn(token)).toEqual(refused('token_revoked'));
      expect(await store.revoke(token.id)).toBe('revoked');
      expect(await store.read(token.id)).toEqual(record);
    });

    test('revoking an active token is recorded, and its session still completes', async () => {
      const token = await issue();
      await burn(token, 'sess_a');
      expect(await store.revoke(token.id)).toBe('active');
      expect(await store.read(token.id)).toMatchObject({ status: 'active', revokedAt: expect.any(Number) });
      expect(await burn(token)).toEqual(refused('token_used'));
      expect(await store.finish({ ...HELD, id: token.id, sessionId: 'sess_a', reason: 'revoked' })).toBe(true);
      expect(await store.read(token.id)).toMatchObject({ status: 'completed', session: { endReason: 'revoked' } });
      expect(await store.peek(token.id)).toBe('token_used');
      expect(await store.revoke(token.id)).toBe('ended');
    });

    test('revoking what nobody issued is unknown', async () => {
      expect(await store.revoke(newTokenId())).toBe('unknown');
    });

    test('only the session that burned the token can finish it, once', async () => {
      const token = await issue();
      const finish = (sessionId: string) => store.finish({ ...HELD, id: token.id, sessionId, reason: 'client_lost' });
      expect(await finish('sess_a')).toBe(false);
      await burn(token, 'sess_a');
      expect(await finish('sess_b')).toBe(false);
      expect(await finish('sess_a')).toBe(true);
      expect(await finish('sess_a')).toBe(false);
      const record = await store.read(token.id);
      expect(record?.status).toBe('completed');
      expect(record?.session).toMatchObject({ id: 'sess_a', endReason: 'client_lost', endedAt: expect.any(Number) });
    });

    test('peek says what a burn would, and burns nothing', async () => {
      const token = await issue();
      expect(await store.peek(token.id)).toBeUndefined();
      expect(await store.peek(newTokenId())).toBe('token_unknown');
      expect(await burn(token)).toMatchObject({ burned: true });
      expect(await store.peek(token.id)).toBe('token_used');
    });

    test('a session whose lease lapsed reads as lost with its node until it is renewed', async () => {
      const token = await issue();
      const lease = { ...HELD, tokenId: token.id, endpointId: token.endpointId, sessionId: 'sess_lease' };
      await burn(token, lease.sessionId);
      await sleep(TEST_LEASE_MS + 50);
      const lost = await store.read(token.id);
      expect(lost).toMatchObject({ status: 'completed', session: { endReason: 'node_lost' } });
      expect(await store.read(token.id)).toEqual(lost);
      expect(await store.peek(token.id)).toBe('token_used');
      await store.renew([lease]);
      expect((await store.read(token.id))?.status).toBe('active');
      await sleep(TEST_LEASE_MS + 50);
      expect(await store.finish({ ...HELD, id: token.id, sessionId: lease.sessionId, reason: 'expired' })).toBe(true);
      expect(await store.read(token.id)).toMatchObject({ status: 'completed', session: { endReason: 'expired' } });
      await store.releasePlace(lease);
    });

    test('renewing tolerates records that are gone, foreign or ended', async () => {
      const token = await issue();
      await burn(token, 'sess_a');
      const endpointId = 'ep_renew';
      await store.renew([
        { ...HELD, tokenId: newTokenId(), endpointId, sessionId: 'sess_gone' },
        { ...HELD, tokenId: token.id, endpointId, sessionId: 'sess_foreign' },
      ]);
      await store.finish({ ...HELD, id: token.id, sessionId: 'sess_a', reason: 'completed' });
      await store.renew([{ ...HELD, tokenId: token.id, endpointId, sessionId: 'sess_a' }]);
      expect(await store.read(token.id)).toMatchObject({ status: 'completed', session: { endReason: 'completed' } });
      for (const sessionId of ['sess_gone', 'sess_foreign', 'sess_a'])
        await store.releasePlace({ endpointId, sessionId });
    });

    test('an endpoint has as many places as it says, and a released one is free at once', async () => {
      const endpointId = 'ep_places';
      const acquire = (sessionId: string) => store.acquirePlace({ endpointId, sessionId, max: 2 });
      const taken = await Promise.all(['sess_1', 'sess_2', 'sess_3', 'sess_4'].map(acquire));
      expect(taken.filter(Boolean)).toHaveLength(2);
      const holder = `sess_${taken.indexOf(true) + 1}`;
      const refusedOne = `sess_${taken.indexOf(false) + 1}`;
      expect(await acquire(holder)).toBe(true);
      await store.releasePlace({ endpointId, sessionId: holder });
      expect(await acquire(refusedOne)).toBe(true);
      for (let index = 1; index <= 4; index++) await store.releasePlace({ endpointId, sessionId: `sess_${index}` });
      expect(await store.acquirePlace({ endpointId, sessionId: 'sess_5', max: 1 })).toBe(true);
      await store.releasePlace({ endpointId, sessionId: 'sess_5' });
    });

    test('a lapsed place is free, and renewing takes it again beside the newcomer', async () => {
      const endpointId = 'ep_lapse';
      const acquire = (sessionId: string) => store.acquirePlace({ endpointId, sessionId, max: 1 });
      expect(await acquire('sess_1')).toBe(true);
      await sleep(TEST_LEASE_MS + 50);
      expect(await acquire('sess_2')).toBe(true);
      await store.renew([{ ...HELD, tokenId: newTokenId(), endpointId, sessionId: 'sess_1' }]);
      await store.releasePlace({ endpointId, sessionId: 'sess_2' });
      expect(await acquire('sess_3')).toBe(false);
      await store.releasePlace({ endpointId, sessionId: 'sess_1' });
      expect(await acquire('sess_3')).toBe(true);
      await store.releasePlace({ endpointId, sessionId: 'sess_3' });
    });

    test('a renewed place outlives its first lease', async () => {
      const place = { endpointId: 'ep_renewed', sessionId: 'sess_1' };
      await store.acquirePlace({ ...place, max: 1 });
      for (let round = 0; round < 6; round++) {
        await sleep(TEST_LEASE_MS / 4);
        await store.renew([{ ...HELD, tokenId: newTokenId(), ...place }]);
      }
      expect(await store.acquirePlace({ ...place, sessionId: 'sess_2', max: 1 })).toBe(false);
      await store.releasePlace(place);
    });
  });
}

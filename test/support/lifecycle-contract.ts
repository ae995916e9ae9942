import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MintDeps } from '../../src/mint/call-tokens.ts';
import type { Claim } from '../../src/store/idempotency.ts';
import type { ListPosition, NewCallToken, TokenStore } from '../../src/store/store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { HELD } from './held.ts';
import { newSessionId, newToken } from './store-contract.ts';

const FINGERPRINT = `sha-256 ${Array(32).fill('AB').join(':')}`;

let count = 0;
const newName = (kind: string): string => `${kind}_${process.pid}_${++count}`;

/** A token store with what minting needs beside it. */
type Store = TokenStore & MintDeps['store'];

/** What every `TokenStore` does for refreshing, listing, revoking at a distance, idempotency keys and mint rates. */
export function describeLifecycle(name: string, open: () => Store): void {
  describe(`beside the burn, the token store in ${name}`, () => {
    let store: Store;
    beforeEach(() => {
      store = open();
    });
    afterEach(() => store.close());

    const issue = async (changes: Partial<NewCallToken> = {}) => {
      const token = newToken(changes);
      return { ...token, ...(await store.issue(token)) };
    };
    const successorOf = (id: string) => newTokenId(id.split('_')[1]);
    const refresh = ({ id, team }: NewCallToken, successorId = successorOf(id), ttlSeconds?: number) =>
      store.refresh({ id, successorId, team, ttlSeconds });
    const refused = { refreshed: false, refusal: 'not_issued' };

    test('a refresh issues a successor of the same kind and revokes the old token', async () => {
      const kind = { metadata: { user: 'ü' }, fingerprint: FINGERPRINT, ttlSeconds: 30, maxDurationSeconds: 90 };
      const { createdAt, expiresAt, ...token } = await issue(kind);
      const successorId = successorOf(token.id);
      const result = await refresh(token, successorId);
      if (!result.refreshed) throw new Error('the refresh was refused');
      const { refreshed, ...times } = result;
      expect(times.expiresAt - times.createdAt).toBe(30_000);
      expect(await store.read(successorId)).toEqual({ ...token, ...times, id: successorId, status: 'issued' });
      expect(await store.read(token.id)).toMatchObject({ status: 'revoked', createdAt, expiresAt });
      expect(await store.burn({ ...HELD, ...token, sessionId: newSessionId() })).toMatchObject({
        refusal: 'token_revoked',
      });
      const burned = await store.burn({ ...HELD, ...token, id: successorId, sessionId: newSessionId() });
      expect(burned).toMatchObject({ burned: true, remainingMs: 90_000 });
    });

    test('a refresh may give another time to live', async () => {
      const result = await refresh(await issue(), undefined, 5);
      expect(result).toMatchObject({ refreshed: true });
      if (result.refreshed) expect(result.expiresAt - result.createdAt).toBe(5000);
    });

    test('a refresh asked again for the same successor gives the same yes, for another one no', async () => {
      const token = await issue();
      const successorId = successorOf(token.id);
      const first = await refresh(token, successorId);
      expect(first.refreshed).toBe(true);
      expect(await refresh(token, successorId)).toEqual(first);
      expect(await refresh(token)).toEqual(refused);
    });

    test('of many refreshes and burns at once exactly one wins', { retry: 0 }, async () => {
      for (let round = 0; round < 5; round++) {
        const token = await issue();
        const refreshes = Array.from({ length: 5 }, () => refresh(token));
        const burns = Array.from({ length: 5 }, () => store.burn({ ...HELD, ...token, sessionId: newSessionId() }));
        const [refreshed, burned] = await Promise.all([Promise.all(refreshes), Promise.all(burns)]);
        const wins = refreshed.filter((r) => r.refreshed).length + burned.filter((b) => b.burned).length;
        expect(wins).toBe(1);
      }
    });

    test('what is no longer issued is not refreshed', async () => {
      const [burned, revoked, expired] = [await issue(), await issue(), await issue({ ttlSeconds: 0.001 })];
      await store.burn({ ...HELD, ...burned, sessionId: newSessionId() });
      await store.revoke(revoked.id);
      await new Promise((resolve) => setTimeout(resolve, 5));
      for (const token of [burned, revoked, expired]) expect(await refresh(token)).toEqual(refused);
      const unknown = { refreshed: false, refusal: 'unknown' };
      expect(await refresh(newToken())).toEqual(unknown);
      expect(await refresh(newToken({ id: 'ct_{a}_b' }), newTokenId())).toEqual(unknown);
    });

    const walk = async (query: Omit<Parameters<TokenStore['list']>[0], 'after'>) => {
      const ids: string[] = [];
      let after: ListPosition | undefined;
      for (let pages = 0; pages < 100; pages++) {
        const { records, next } = await store.list({ ...query, ...(after && { after }) });
        expect(records.length).toBeLessThanOrEqual(query.limit);
        ids.push(...records.map(({ id }) => id));
        if (next === undefined) return ids;
        after = next;
      }
      throw new Error('the list does not end');
    };

    test('a list gives every token of a team once, newest first, in pages of any size', async () => {
      const team = newName('team');
      const batches: string[][] = [];
      for (const length of [11, 1, 11]) {
        const tokens = await Promise.all(Array.from({ length }, () => issue({ team })));
        batches.unshift(tokens.map(({ id }) => id).sort());
        await sleep(2);
      }
      await issue({ team: newName('team') });
      const expected = await walk({ team, limit: 100 });
      // Those that were minted at the same time may stand in any order, but always in the same.
      const found = [expected.slice(0, 11), expected.slice(11, 12), expected.slice(12)];
      expect(found.map((ids) => ids.toSorted())).toEqual(batches);
      for (const limit of [1, 4, 22, 23, 24]) expect(await walk({ team, limit })).toEqual(expected);
      expect(await walk({ team: newName('team'), limit: 5 })).toEqual([]);
    });

    test('a list is filtered by the records as they are, and holds successors', async () => {
      const team = newName('team');
      const [a, b, c] = [await issue({ team }), await issue({ team, endpointId: 'ep_b' }), await issue({ team })];
      const successorId = successorOf(a.id);
      await refresh(a, successorId);
      await store.burn({ ...HELD, ...c, sessionId: newSessionId() });
      const issued = await walk({ team, limit: 1, status: 'issued' });
      expect(issued.sort()).toEqual([successorId, b.id].sort());
      expect(await walk({ team, limit: 1, status: 'revoked' })).toEqual([a.id]);
      expect(await walk({ team, limit: 1, endpointId: 'ep_b' })).toEqual([b.id]);
      expect(await walk({ team, limit: 9, endpointId: 'ep_echo', status: 'active' })).toEqual([c.id]);
      expect(await walk({ team, limit: 9, endpointId: 'ep_b', status: 'active' })).toEqual([]);
    });

    test('a page looks at a bounded number of records and says where to go on', async () => {
      const team = newName('team');
      for (let i = 0; i < 6; i++) await Promise.all(Array.from({ length: 100 }, () => issue({ team })));
      const first = await store.list({ team, limit: 100, status: 'revoked' });
      expect(first.records).toEqual([]);
      if (first.next === undefined) throw new Error('the list ends too early');
      const rest = await store.list({ team, limit: 100, after: first.next });
      expect(rest.records).toHaveLength(100);
      expect(rest.next).toBeUndefined();
    });

    test('a listener hears of a session that was revoked, at once and with each renewal', async () => {
      const token = await issue();
      const lease = { ...HELD, tokenId: token.id, endpointId: 'ep_heard', sessionId: newSessionId() };
      await store.burn({ ...HELD, ...token, sessionId: lease.sessionId });
      // Once or more often for each.
      const heard = new Set<string>();
      const ready = Promise.withResolvers<void>();
      const unlisten = store.onSessions({
        revoked: (id) => void heard.add(id),
        moved: () => undefined,
        missed: () => ready.resolve(),
      });
      if (name !== 'memory') await ready.promise;
      await store.renew([lease]);
      expect([...heard]).toEqual([]);
      await store.revoke(token.id);
      await expect.poll(() => [...heard], { timeout: 5000 }).toEqual([lease.sessionId]);
      heard.clear();
      await store.renew([lease]);
      expect([...heard]).toEqual([lease.sessionId]);
      unlisten();
      heard.clear();
      await store.renew([lease]);
      expect([...heard]).toEqual([]);
      await store.releasePlace(lease);
    });

    test('a revocation is for the team of the token; one without a record is told to listeners', async () => {
      const token = await issue();
      const heard: string[] = [];
      const held = newTokenId();
      const ready = Promise.withResolvers<void>();
      store.onSessions({
        moved: () => undefined,
        revoked: () => undefined,
        missed: () => ready.resolve(),
        forgotten: (tokenId, team) => {
          heard.push(`${tokenId} ${team}`);
          return tokenId === held;
        },
      });
      if (name !== 'memory') await ready.promise;
      expect(await store.revoke(token.id, 'team_other')).toBe('unknown');
      expect(await store.read(token.id)).toMatchObject({ status: 'issued' });
      expect(await store.revoke(held, 'team_a')).toBe('active');
      expect(await store.revoke(held)).toBe('unknown');
      // Whoever tells all processes of it hears that himself, once or more often.
      const both = [`${token.id} team_other`, `${held} team_a`];
      await expect.poll(() => [...new Set(heard)]).toEqual(both);
      expect(await store.revoke(token.id, token.team)).toBe('revoked');
      expect(await store.read(held)).toBeUndefined();
    });

    test('an issued token that is revoked, and an ended one, are told to nobody', async () => {
      const [issued, ended] = [await issue(), await issue()];
      const heard: string[] = [];
      const ready = Promise.withResolvers<void>();
      store.onSessions({ revoked: (id) => void heard.push(id), moved: () => undefined, missed: () => ready.resolve() });
      if (name !== 'memory') await ready.promise;
      const sessionId = newSessionId();
      await store.burn({ ...HELD, ...ended, sessionId });
      await store.finish({ ...HELD, id: ended.id, sessionId, reason: 'completed' });
      await store.revoke(issued.id);
      await store.revoke(ended.id);
      await store.renew([{ ...HELD, tokenId: ended.id, endpointId: 'ep_ended', sessionId }]);
      expect(heard).toEqual([]);
      await store.releasePlace({ endpointId: 'ep_ended', sessionId });
    });

    const newClaim = (changes: Partial<Claim> = {}): Claim => ({
      key: newName('key'),
      request: 'a',
      tokenId: newTokenId(),
      ...changes,
    });

    test('an idempotency key belongs to its first claim until that is settled, and then to its token', async () => {
      const { idempotency } = store;
      const mine = newClaim();
      const other = { ...mine, tokenId: newTokenId() };
      expect(await idempotency.claim(mine)).toBe('mine');
      expect(await idempotency.claim(mine)).toBe('mine');
      expect(await idempotency.claim(other)).toBe('busy');
      expect(await idempotency.claim({ ...other, request: 'b' })).toBe('reused');
      expect(await idempotency.settle(other)).toBe(false);
      expect(await idempotency.settle(mine)).toBe(true);
      expect(await idempotency.settle(mine)).toBe(true);
      await idempotency.release(mine);
      expect(await idempotency.claim(other)).toEqual({ done: mine.tokenId });
      expect(await idempotency.claim({ ...other, request: 'b' })).toBe('reused');
    });

    test('of many claims at once exactly one is mine', { retry: 0 }, async () => {
      const key = newName('key');
      const claims = Array.from({ length: 20 }, () => store.idempotency.claim(newClaim({ key })));
      expect((await Promise.all(claims)).filter((answer) => answer === 'mine')).toHaveLength(1);
    });

    test('a claim that is given up leaves the key free, and nobody gives up that of another', async () => {
      const { idempotency } = store;
      const mine = newClaim();
      const other = { ...mine, request: 'b', tokenId: newTokenId() };
      await idempotency.claim(mine);
      await idempotency.release(other);
      expect(await idempotency.claim(other)).toBe('reused');
      await idempotency.release(mine);
      expect(await idempotency.claim(other)).toBe('mine');
      expect(await idempotency.settle(mine)).toBe(false);
    });

    test('mints are counted by team, beyond the limit as well', async () => {
      const [team, other] = [newName('team'), newName('team')];
      const rule = { limit: 3, windowSeconds: 60 };
      const taken = await Promise.all(Array.from({ length: 5 }, () => store.mintRate.take(team, rule)));
      expect(taken.filter(({ allowed }) => allowed)).toHaveLength(3);
      expect(taken.map(({ remaining }) => remaining).sort()).toEqual([0, 0, 0, 1, 2]);
      for (const { resetMs } of taken) {
        expect(resetMs).toBeGreaterThan(0);
        expect(resetMs).toBeLessThanOrEqual(60_000);
      }
      expect(await store.mintRate.take(other, rule)).toMatchObject({ allowed: true, remaining: 2 });
      expect((await store.mintRate.take(team, { ...rule, limit: 10 })).allowed).toBe(true);
    });
  });
}

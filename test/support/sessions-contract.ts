import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AdoptionResult, HeldSession, NewCallToken, TokenStore } from '../../src/store/store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { newSessionId } from '../../src/tokens/session-id.ts';
import { newToken, TEST_LEASE_MS } from './store-contract.ts';

const [A, B, C] = ['n_aaaaaaaa', 'n_bbbbbbbb', 'n_cccccccc'] as const;

/** The session that node A gets for an issued token. */
export async function burnAs(store: TokenStore, { id: tokenId, endpointId }: NewCallToken): Promise<HeldSession> {
  const session = { endpointId, sessionId: newSessionId(tokenId), node: A, tickets: ['t1'], resume: '{"fresh":true}' };
  const result = await store.burn({ id: tokenId, ...session });
  if (!result.burned) throw new Error(result.refusal);
  const { startedAt, expiresAt, epoch } = result;
  return { tokenId, ...session, startedAt, expiresAt, epoch };
}

/** The session that node A gets for a fresh token. */
export async function burnedSession(store: TokenStore, issued: Partial<NewCallToken> = {}): Promise<HeldSession> {
  const token = newToken(issued);
  await store.issue(token);
  return burnAs(store, token);
}

/** What the end of a session is told with. */
export const endOf = ({ tokenId: id, ...held }: HeldSession) => ({ id, ...held, reason: 'completed' as const });

/** What every `TokenStore` does for sessions that nodes hold, let go of and adopt; leases last `TEST_LEASE_MS`. */
export function describeSessions(name: string, open: () => TokenStore): void {
  describe(`sessions and their nodes, in ${name}`, () => {
    let store: TokenStore;
    let moved: string[];
    let revoked: string[];
    beforeEach(() => {
      store = open();
      [moved, revoked] = [[], []];
      store.onSessions({
        revoked: (id) => void revoked.push(id),
        moved: (id) => void moved.push(id),
        missed: () => undefined,
      });
    });
    afterEach(() => store.close());

    const begin = (issued?: Partial<NewCallToken>) => burnedSession(store, issued);
    const adopt = ({ sessionId, node, epoch }: HeldSession, changes: object = {}) =>
      store.adopt({ sessionId, node: B, from: { node, epoch }, ticket: 't1', successor: 't2', ...changes });
    /** The session as its adopter holds it. */
    const adopted = (session: HeldSession, result: AdoptionResult, node: string = B): HeldSession => {
      if (!result.adopted) throw new Error(result.refusal);
      return { ...session, node, epoch: result.epoch, tickets: result.tickets };
    };
    const refused = (refusal: string) => ({ adopted: false, refusal });
    const reasonOf = async ({ tokenId }: HeldSession) => (await store.read(tokenId))?.session?.endReason;
    const release = (session: HeldSession) => store.releasePlace(session);

    test('a burned session is found by its id, with all that another node needs', async () => {
      const session = await begin();
      expect(session.epoch).toBe(1);
      expect(await store.owner(session.sessionId)).toEqual({
        ...session,
        sessionId: undefined,
        team: 'team_demo',
        revoked: false,
      });
    });

    test('what is no session, another one of the token, or over is not found', async () => {
      const session = await begin();
      const { tokenId, sessionId } = session;
      const others = ['', 'sess_a', `${sessionId}0`, newSessionId(newTokenId()), newSessionId(tokenId), tokenId];
      for (const other of others) {
        expect(await store.owner(other)).toBeUndefined();
        expect(await adopt({ ...session, sessionId: other })).toEqual(refused('gone'));
      }
      const issued = newToken();
      await store.issue(issued);
      expect(await store.owner(newSessionId(issued.id))).toBeUndefined();
      expect(await store.finish(endOf(session))).toBe(true);
      expect(await store.owner(sessionId)).toBeUndefined();
      expect(await adopt(session)).toEqual(refused('gone'));
    });

    test('a burn repeated from another node gives that one the session, at the next epoch', async () => {
      const session = await begin();
      const { tokenId: id, endpointId, sessionId } = session;
      const burn = { id, endpointId, sessionId, node: B, tickets: ['b1'], resume: 'b' };
      const second = await store.burn(burn);
      expect(second).toMatchObject({ burned: true, epoch: 2, expiresAt: session.expiresAt });
      expect(await store.burn(burn)).toMatchObject({ burned: true, epoch: 2 });
      expect(await store.owner(sessionId)).toMatchObject({ node: B, epoch: 2, tickets: ['b1'], resume: 'b' });
      await store.renew([session]);
      expect(moved).toEqual([sessionId]);
    });

    test('an adoption gives another node the session, and leaves its id and its deadline alone', async () => {
      const session = await begin({ maxDurationSeconds: 100 });
      const result = await adopt(session);
      const { tokenId, endpointId, startedAt, expiresAt, resume } = session;
      const kept = { tokenId, endpointId, team: 'team_demo', startedAt, expiresAt, resume };
      expect(result).toEqual({
        ...{ adopted: true, ...kept, epoch: 2, tickets: ['t2', 't1'], revoked: false },
        remainingMs: expect.any(Number),
      });
      if (!result.adopted) return;
      expect(result.remainingMs).toBeGreaterThan(90_000);
      expect(result.remainingMs).toBeLessThanOrEqual(100_000);
      expect(await store.owner(session.sessionId)).toMatchObject({ ...kept, node: B, epoch: 2, tickets: ['t2', 't1'] });
      expect((await store.read(tokenId))?.session).toMatchObject({ id: session.sessionId, startedAt, expiresAt });
    });

    test('an adoption that is asked for again gives the same yes, and another one of that moment does not', async () => {
      const session = await begin();
      const first = await adopt(session);
      expect(first).toMatchObject({ adopted: true });
      const again = await adopt(session);
      expect(again).toEqual({ ...first, remainingMs: expect.any(Number) });
      expect(await adopt(session, { node: C })).toEqual(refused('moved'));
      expect(await adopt(session, { successor: 'other' })).toEqual(refused('moved'));
      expect(await store.owner(session.sessionId)).toMatchObject({ node: B, epoch: 2 });
    });

    test('of many nodes that adopt at once one wins', async () => {
      const session = await begin();
      const nodes = Array.from({ length: 8 }, (_, index) => `n_${'abcdefgh'[index]}zzzzzzz`);
      const results = await Promise.all(nodes.map((node) => adopt(session, { node, successor: `t_${node}` })));
      expect(results.filter((result) => result.adopted)).toHaveLength(1);
      expect(results.filter((result) => !result.adopted && result.refusal === 'moved')).toHaveLength(7);
    });

    test('whoever held it before is told so by his renewal, and can neither renew, save, finish nor let go', async () => {
      const session = await begin({ endpointId: 'ep_moved' });
      const owner = await store.owner(session.sessionId).then(() => adopt(session));
      await store.renew([{ ...session, tickets: ['old'], resume: 'old' }]);
      expect(moved).toEqual([session.sessionId]);
      await store.save({ ...session, resume: 'old' });
      expect(moved).toHaveLength(2);
      expect(await store.leave(session)).toBe(false);
      expect(await store.finish(endOf(session))).toBe(false);
      const found = await store.owner(session.sessionId);
      expect(found).toMatchObject({ node: B, epoch: 2, tickets: ['t2', 't1'], resume: session.resume });
      // Its place is the other's to keep.
      expect(await store.acquirePlace({ ...session, sessionId: 'sess_next', max: 1 })).toBe(true);
      await store.releasePlace({ ...session, sessionId: 'sess_next' });
      expect(await store.finish(endOf(adopted(session, owner)))).toBe(true);
      await store.renew([session]);
      expect(moved).toHaveLength(3);
      expect(await reasonOf(session)).toBe('completed');
    });

    test('the adopter gets a fresh lease and keeps the session by renewing it', async () => {
      const session = await begin();
      await sleep(TEST_LEASE_MS / 2);
      const own = adopted(session, await adopt(session));
      for (let round = 0; round < 3; round++) {
        await sleep(TEST_LEASE_MS * 0.6);
        expect((await store.read(session.tokenId))?.status).toBe('active');
        await store.renew([own]);
      }
      expect(moved).toEqual([]);
      await release(own);
    });

    test('once its lease has lapsed a session is adopted by nobody, until its node is heard of again', async () => {
      const session = await begin();
      await sleep(TEST_LEASE_MS + 50);
      expect(await store.owner(session.sessionId)).toBeUndefined();
      expect(await adopt(session)).toEqual(refused('gone'));
      expect(await reasonOf(session)).toBe('node_lost');
      await store.renew([session]);
      expect(await adopt(session)).toMatchObject({ adopted: true, epoch: 2 });
      await release(session);
    });

    test('the ticket before is as good, and takes the place of one that was never used', async () => {
      const session = { ...(await begin()), tickets: ['t2', 't1', 't0'] };
      await store.save(session);
      const result = await adopt(session, { ticket: 't1', successor: 't3' });
      expect(result).toMatchObject({ adopted: true, tickets: ['t3', 't1', 't0'] });
      const own = adopted(session, result);
      expect(await adopt(own, { node: C, ticket: 't2' })).toEqual(refused('gone'));
      expect(await adopt(own, { node: C, ticket: 't1', successor: 't4' })).toMatchObject({
        tickets: ['t4', 't1', 't0'],
      });
    });

    test('an older ticket ends the session, whoever held it, and a guess ends nothing', async () => {
      const session = { ...(await begin()), tickets: ['t2', 't1', 't0'] };
      await store.save(session);
      expect(await adopt(session, { ticket: 'guess' })).toEqual(refused('gone'));
      expect((await store.read(session.tokenId))?.status).toBe('active');
      expect(await adopt(session, { ticket: 't0' })).toEqual(refused('reused'));
      const record = await store.read(session.tokenId);
      expect(record).toMatchObject({ status: 'completed', session: { endReason: 'ticket_reused' } });
      // A lost answer is told again, to the one that asked.
      expect(await adopt(session, { ticket: 't0' })).toEqual(refused('reused'));
      expect(await adopt(session, { ticket: 't0', node: C })).toEqual(refused('gone'));
      await store.renew([session]);
      expect(moved).toEqual([session.sessionId]);
      expect(await store.finish(endOf(session))).toBe(false);
      expect(await store.read(session.tokenId)).toEqual(record);
    });

    test('ten tickets are remembered, whatever the session was given', async () => {
      const tickets = Array.from({ length: 10 }, (_, age) => `t${age}`);
      const session = { ...(await begin()), tickets };
      await store.save(session);
      const first = await adopt(session, { ticket: 't0', successor: 'u0' });
      expect(first).toMatchObject({ tickets: ['u0', ...tickets.slice(0, 9)] });
      const own = adopted(session, first);
      const second = await adopt(own, { node: C, ticket: 't0', successor: 'v0' });
      expect(second).toMatchObject({ tickets: ['v0', ...tickets.slice(0, 9)] });
    });

    test('whoever lets go of a session leaves it to any node, for one lease', async () => {
      const session = { ...(await begin()), tickets: ['t9', 't1'], resume: 'last' };
      await sleep(TEST_LEASE_MS / 2);
      expect(await store.leave(session)).toBe(true);
      expect(await store.leave(session)).toBe(true);
      await sleep(TEST_LEASE_MS * 0.7);
      const free = await store.owner(session.sessionId);
      expect(free).toMatchObject({ node: '', epoch: 1, tickets: ['t9', 't1'], resume: 'last' });
      // A renewal that was on its way does not take it back.
      await store.renew([session]);
      expect(await store.owner(session.sessionId)).toMatchObject({ node: '' });
      expect(moved).toEqual([]);
      const result = await adopt({ ...session, node: '' }, { node: A, ticket: 't9' });
      expect(result).toMatchObject({ adopted: true, epoch: 2 });
      await release(session);
    });

    test('one that was let go of and not adopted reads as a client that was lost', async () => {
      const session = await begin();
      await store.leave(session);
      await sleep(TEST_LEASE_MS + 50);
      expect(await store.read(session.tokenId)).toMatchObject({
        status: 'completed',
        session: { endReason: 'client_lost' },
      });
      expect(await store.owner(session.sessionId)).toBeUndefined();
      // Whoever let go of it may still say why it ended.
      expect(await store.finish({ ...endOf(session), reason: 'node_drained' })).toBe(true);
      expect(await reasonOf(session)).toBe('node_drained');
      expect(await store.leave(session)).toBe(false);
    });

    test('a node writes its higher epoch, as after a failover that forgot its adoption', async () => {
      const session = await begin();
      const own = { ...session, node: B, epoch: 2, tickets: ['t2', 't1'] };
      await store.renew([own]);
      expect(await store.owner(session.sessionId)).toMatchObject({ node: B, epoch: 2, tickets: ['t2', 't1'] });
      await store.renew([session]);
      expect(moved).toEqual([session.sessionId]);
      await release(session);
    });

    test('an end at a higher epoch counts, and whoever was left behind learns that he was', async () => {
      const session = await begin();
      expect(await store.finish({ ...endOf(session), node: B, epoch: 2, reason: 'expired' })).toBe(true);
      await store.renew([session]);
      expect(moved).toEqual([session.sessionId]);
      expect(await reasonOf(session)).toBe('expired');
    });

    test('a renewal writes tickets and what an adopter needs, and burns nothing', async () => {
      const session = await begin();
      const issued = newToken();
      await store.issue(issued);
      const never = { ...session, tokenId: issued.id, sessionId: newSessionId(issued.id) };
      await store.renew([{ ...session, tickets: ['t2', 't1'], resume: 'more' }, never]);
      expect(await store.owner(session.sessionId)).toMatchObject({ tickets: ['t2', 't1'], resume: 'more' });
      expect((await store.read(issued.id))?.status).toBe('issued');
      expect(await store.finish(endOf(never))).toBe(false);
      expect(await store.leave(never)).toBe(false);
      for (const each of [session, never]) await release(each);
    });

    test('a renewal of many undoes nothing that was saved meanwhile', async () => {
      const session = await begin({ endpointId: 'ep_many' });
      let current = session;
      function* inTurn(): Generator<HeldSession> {
        for (let others = 0; others < 300; others++)
          yield { ...session, tokenId: newTokenId(), sessionId: 'sess_other' };
        yield current;
      }
      const renewed = store.renew(inTurn());
      current = { ...session, tickets: ['t2', 't1'] };
      await store.save(current);
      await renewed;
      expect(await store.owner(session.sessionId)).toMatchObject({ tickets: ['t2', 't1'] });
      await store.releasePlace({ ...session, sessionId: 'sess_other' });
      await release(session);
    });

    test('a session whose token was revoked may be adopted, and its adopter hears of that', async () => {
      const session = await begin();
      await store.revoke(session.tokenId);
      expect(await store.owner(session.sessionId)).toMatchObject({ revoked: true });
      expect(await adopt(session)).toMatchObject({ adopted: true, revoked: true });
      revoked.length = 0;
      await store.save({ ...session, node: B, epoch: 2 });
      expect(revoked).toContain(session.sessionId);
    });
  });
}

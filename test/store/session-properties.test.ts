import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { RedisTokenStore } from '../../src/store/redis-store.ts';
import type { HeldSession, TokenStore } from '../../src/store/store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { newSessionId } from '../../src/tokens/session-id.ts';
import { TestRedis } from '../support/redis.ts';
import { burnedSession, endOf } from '../support/sessions-contract.ts';
import { newToken } from '../support/store-contract.ts';

const NODES = ['n_aaaaaaaa', 'n_bbbbbbbb', 'n_cccccccc'] as const;

let redis: TestRedis;
let stores: RedisTokenStore[];
beforeAll(async () => {
  redis = await TestRedis.start();
  stores = NODES.map(() => new RedisTokenStore(redis.url, { log: { warn: () => undefined } }));
});
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await redis.stop();
});

/** One step of a node that may be right about who holds the session, or not. */
const step = fc.record({
  kind: fc.constantFrom('burn', 'renew', 'save', 'leave', 'finish', 'revoke', 'adopt', 'adopt', 'adopt'),
  node: fc.constantFrom(...NODES),
  from: fc.constantFrom(...NODES, ''),
  epoch: fc.integer({ min: 1, max: 4 }),
  ticket: fc.constantFrom('t1', 't2', 't3', 't4', 'guess'),
  successor: fc.constantFrom('t2', 't3', 't4'),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Ids {
  id: string;
  sessionId: string;
}

const newIds = (): Ids => {
  const id = newTokenId();
  return { id, sessionId: newSessionId(id) };
};

/** What a store says to a step, with all that it heard and how the session is then found, without times. */
async function take(store: TokenStore, { id, sessionId }: Ids, step: Step): Promise<unknown[]> {
  const { kind, node, from, epoch, ticket, successor } = step;
  const heard: string[] = [];
  const unlisten = store.onSessions({
    revoked: () => heard.includes('revoked') || heard.push('revoked'),
    moved: () => void heard.push('moved'),
    missed: () => undefined,
  });
  const held = { node, epoch, tickets: [successor, ticket], resume: node, startedAt: 0, expiresAt: 0 };
  const session: HeldSession = { ...held, tokenId: id, endpointId: 'ep_echo', sessionId };
  const answer: Record<Step['kind'], () => Promise<unknown>> = {
    burn: () => store.burn({ id, endpointId: 'ep_echo', sessionId, node, tickets: [ticket], resume: node }),
    renew: () => store.renew([session]),
    save: () => store.save(session),
    leave: () => store.leave(session),
    finish: () => store.finish(endOf(session)),
    revoke: () => store.revoke(id),
    adopt: () => store.adopt({ sessionId, node, from: { node: from, epoch }, ticket, successor }),
  };
  const said = await answer[kind]();
  const found = await store.owner(sessionId);
  unlisten();
  const record = await store.read(id);
  // Redis announces a revocation when it comes to that; renewals tell of it at once.
  const told = kind === 'revoke' ? [] : heard;
  const text = JSON.stringify([said, found], (key, value) => (/At$|Ms$/.test(key) ? 'time' : value));
  return [JSON.parse(text), told, record?.status, record?.session?.endReason];
}

test('whatever nodes do with a session in whatever order, Redis and memory answer alike', { retry: 0 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const memory = new MemoryTokenStore();
      const ids = newIds();
      const token = newToken({ id: ids.id });
      await Promise.all([memory.issue(token), stores[0]!.issue(token)]);
      for (const one of [{ ...steps[0]!, kind: 'burn' as const, ticket: 't1' as const }, ...steps])
        expect(await take(stores[0]!, ids, one)).toEqual(await take(memory, ids, one));
      await memory.close();
    }),
    { numRuns: 60 },
  );
});

type Deed = 'sleep' | 'renew' | 'rotate' | 'leave' | 'finish' | 'burn' | 'adopt';
const DEEDS: Deed[] = ['sleep', 'renew', 'rotate', 'leave', 'finish', 'burn', 'adopt', 'adopt'];
const deed = fc.record({ kind: fc.constantFrom(...DEEDS), ticket: fc.constantFrom(0, 0, 0, 1, 1, 2) });

/** A node on a connection of its own, which does only what it thinks is its right. */
class Node {
  readonly #store: TokenStore;
  readonly #log: { epochs: number[]; ends: string[] };
  readonly #node: string;
  readonly unlisten: () => void;
  held: HeldSession | undefined;

  constructor(store: TokenStore, node: string, log: { epochs: number[]; ends: string[] }) {
    this.#store = store;
    this.#node = node;
    this.#log = log;
    this.unlisten = store.onSessions({
      revoked: () => undefined,
      moved: (id) => {
        if (id === this.held?.sessionId) this.held = undefined;
      },
      missed: () => undefined,
    });
  }

  async do(kind: Deed, begun: HeldSession, ticket = 0): Promise<void> {
    const { held } = this;
    if (kind === 'adopt' && !held) return this.#adopt(begun, ticket);
    if (kind === 'burn' && !held) return this.#burn(begun);
    if (!held) return;
    if (kind === 'renew') await this.#store.renew([held]);
    if (kind === 'leave') {
      this.held = undefined;
      await this.#store.leave(held);
    }
    if (kind === 'rotate') {
      this.held = {
        ...held,
        tickets: [`${this.#node}${held.epoch}${held.tickets.length}`, ...held.tickets].slice(0, 10),
      };
      await this.#store.save(this.held);
    }
    if (kind === 'finish') {
      this.held = undefined;
      if (await this.#store.finish(endOf(held))) this.#log.ends.push('completed');
    }
  }

  async #burn({ tokenId: id, endpointId, sessionId, tickets, resume }: HeldSession): Promise<void> {
    const burn = { id, endpointId, sessionId, node: this.#node, tickets, resume };
    const result = await this.#store.burn(burn);
    if (result.burned) this.#hold({ ...burn, ...result, tokenId: id });
  }

  async #adopt(begun: HeldSession, ticket: number): Promise<void> {
    const { sessionId } = begun;
    const found = await this.#store.owner(sessionId);
    if (!found) return;
    const successor = `${this.#node}${found.epoch}`;
    const from = { node: found.node, epoch: found.epoch };
    const shown = found.tickets[ticket] ?? 'guess';
    const result = await this.#store.adopt({ sessionId, node: this.#node, from, ticket: shown, successor });
    if (result.adopted) this.#hold({ ...result, sessionId, node: this.#node });
    else if (result.refusal === 'reused') this.#log.ends.push('ticket_reused');
  }

  #hold(held: HeldSession): void {
    this.held = held;
    this.#log.epochs.push(held.epoch);
  }
}

test('whatever nodes do at the same time, a session has one end and at rest one owner', { retry: 0 }, async () => {
  const rounds = fc.array(fc.tuple(deed, deed, deed), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(rounds, async (history) => {
      const begun = await burnedSession(stores[0]!);
      const log = { epochs: [1], ends: [] as string[] };
      const nodes = NODES.map((id, index) => new Node(stores[index]!, id, log));
      nodes[0]!.held = begun;
      for (const deeds of history)
        await Promise.all(deeds.map(({ kind, ticket }, index) => nodes[index]!.do(kind, begun, ticket)));
      for (const node of nodes) await node.do('renew', begun);
      for (const node of nodes) node.unlisten();

      // Each epoch was given once, one after the other.
      expect(log.epochs.toSorted((a, b) => a - b)).toEqual(log.epochs.map((_, index) => index + 1));
      expect(log.ends.length).toBeLessThanOrEqual(1);
      const record = await stores[0]!.read(begun.tokenId);
      expect(record?.session).toMatchObject({ startedAt: begun.startedAt, expiresAt: begun.expiresAt });
      expect(record?.session?.endReason).toBe(log.ends[0]);
      const holders = nodes.flatMap(({ held }) => (held ? [{ node: held.node, epoch: held.epoch }] : []));
      const owner = await stores[0]!.owner(begun.sessionId);
      if (log.ends.length > 0) expect([holders, owner]).toEqual([[], undefined]);
      else if (owner?.node === '') expect(holders).toEqual([]);
      else expect(owner && [{ node: owner.node, epoch: owner.epoch }]).toEqual(expect.arrayContaining(holders));
    }),
    { numRuns: 100 },
  );
});

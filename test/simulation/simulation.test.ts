import { describe, expect, test } from 'vitest';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import type { Adoption, Burn, HeldSession, SessionEnd } from '../../src/store/store.ts';
import { simulate } from './run.ts';

const TIMEOUT_MS = 120_000;
const SEEDS = 500;
/** Enough for whatever is broken on purpose. */
const FEW_SEEDS = 60;

describe('whatever happens to nodes, workers and sockets', () => {
  test(`the rules of sessions hold, in ${SEEDS} histories`, { timeout: TIMEOUT_MS }, async () => {
    let sessions = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const run = await simulate(seed);
      const how = `npm run simulate -- --seed ${seed}`;
      expect(run.violations, `${how}\n${run.trace.join('\n')}`).toEqual([]);
      sessions += run.sessions;
    }
    expect(sessions).toBeGreaterThan(SEEDS);
  });

  test('a history can be played again', { timeout: TIMEOUT_MS }, async () => {
    for (const seed of [3, 4, 5]) expect(await simulate(seed)).toEqual(await simulate(seed));
  });
});

describe('a broken rule is caught', { timeout: TIMEOUT_MS }, () => {
  /** What is violated first in some histories. */
  async function violated(openStore: () => MemoryTokenStore): Promise<string | undefined> {
    for (let seed = 1; seed <= FEW_SEEDS; seed++) {
      const [violation] = (await simulate(seed, openStore)).violations;
      if (violation !== undefined) return violation;
    }
    return undefined;
  }

  test('when whoever was left behind may end a session', async () => {
    class Store extends MemoryTokenStore {
      override async finish(end: SessionEnd): Promise<boolean> {
        const owner = await super.owner(end.sessionId);
        return super.finish({ ...end, ...(owner && { node: owner.node, epoch: owner.epoch }) });
      }
    }
    expect(await violated(() => new Store())).toMatch(/left behind|told|stored/);
  });

  test('when nobody hears that a session has moved', async () => {
    class Store extends MemoryTokenStore {
      override async renew(sessions: readonly HeldSession[]): Promise<void> {
        for (const session of sessions) {
          const owner = await super.owner(session.sessionId);
          if (owner?.node === session.node && owner.epoch === session.epoch) await super.renew([session]);
        }
      }
      override async save(session: HeldSession): Promise<void> {
        return this.renew([session]);
      }
    }
    expect(await violated(() => new Store())).toBeDefined();
  });

  test('when a token is burned again', async () => {
    class Store extends MemoryTokenStore {
      override async burn(burn: Burn) {
        const result = await super.burn(burn);
        const session = (await super.read(burn.id))?.session;
        if (result.burned || !session) return result;
        const { startedAt, expiresAt } = session;
        return { burned: true, remainingMs: 60_000, startedAt, expiresAt, epoch: 1 } as const;
      }
    }
    expect(await violated(() => new Store())).toBe('a token has two sessions');
  });

  test('when every ticket that ever was leads to an adoption', async () => {
    class Store extends MemoryTokenStore {
      override async adopt(adoption: Adoption) {
        const owner = await super.owner(adoption.sessionId);
        const ticket = owner?.tickets.includes(adoption.ticket) ? owner.tickets[0] : undefined;
        return super.adopt({ ...adoption, ...(ticket !== undefined && { ticket }) });
      }
    }
    expect(await violated(() => new Store())).toMatch(/a ticket (is taken|has two)/);
  });

  test('when a place is not given back', async () => {
    class Store extends MemoryTokenStore {
      override async releasePlace(place: { endpointId: string; sessionId: string }): Promise<void> {
        if (place.sessionId === 'probe') await super.releasePlace(place);
      }
      override async renew(sessions: readonly HeldSession[]): Promise<void> {
        await super.renew(sessions);
        for (const { endpointId } of sessions) await super.acquirePlace({ endpointId, sessionId: 'leaked', max: 1000 });
      }
    }
    expect(await violated(() => new Store())).toMatch(/places/);
  });
});

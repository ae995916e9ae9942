import { describe, expect, test } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { HELD } from '../support/held.ts';
import { describeSessions } from '../support/sessions-contract.ts';
import { describeTokenStore, newToken, TEST_LEASE_MS } from '../support/store-contract.ts';

const open = () => new MemoryTokenStore({ leaseMs: TEST_LEASE_MS });
describeTokenStore('memory', open);
describeSessions('memory', open);

const DAY_MS = 86_400_000;

describe('what the memory store remembers', () => {
  test('a record is readable for a day after its end and then forgotten', async () => {
    let now = 1_000_000;
    const store = new MemoryTokenStore({ now: () => now });
    const token = newToken({ maxDurationSeconds: 10 });
    await store.issue(token);
    await store.burn({ ...HELD, ...token, sessionId: 'sess_a' });
    now += 5000;
    await store.finish({ ...HELD, id: token.id, sessionId: 'sess_a', reason: 'completed' });
    now += DAY_MS - 1;
    store.sweep();
    expect((await store.read(token.id))?.status).toBe('completed');
    now += 1;
    expect(await store.read(token.id)).toBeUndefined();
    await store.close();
  });

  test('a jump of the wall clock lapses no lease', async () => {
    let now = 1_000_000;
    const store = new MemoryTokenStore({ now: () => now });
    const token = newToken();
    await store.issue(token);
    await store.burn({ ...HELD, ...token, sessionId: 'sess_a' });
    await store.acquirePlace({ endpointId: 'ep_echo', sessionId: 'sess_a', max: 1 });
    now += 3_000_000;
    expect((await store.read(token.id))?.status).toBe('active');
    expect(await store.acquirePlace({ endpointId: 'ep_echo', sessionId: 'sess_b', max: 1 })).toBe(false);
    await store.close();
  });

  test('a full store forgets the oldest record that is over, and refuses rather than forget a live one', async () => {
    const store = new MemoryTokenStore({ maxRecords: 2 });
    const [first, second, third, fourth] = [newToken(), newToken(), newToken(), newToken()];
    await store.issue(first);
    await store.issue(second);
    await expect(store.issue(third)).rejects.toThrow(CallgateError);
    await store.burn({ ...HELD, ...first, sessionId: 'sess_a' });
    await store.revoke(second.id);
    await store.issue(third);
    expect(await store.peek(second.id)).toBe('token_unknown');
    await expect(store.issue(fourth)).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    expect((await store.read(first.id))?.status).toBe('active');
    await store.close();
  });
});

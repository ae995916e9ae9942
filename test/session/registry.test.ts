import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import type { DirectorySource } from '../../src/directory/directory.ts';
import { SessionRegistry } from '../../src/session/registry.ts';
import type { Session } from '../../src/session/session.ts';
import { TaskQueue } from '../../src/session/task-queue.ts';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { burnedSession } from '../support/sessions-contract.ts';

const directory = { current: { flow: () => undefined } } as unknown as DirectorySource;

/** A registry that renews every moment, and a session of it that is over once it was left. */
async function setUp() {
  const store = new MemoryTokenStore();
  onTestFinished(() => store.close());
  const deps = { store, directory, log: pino({ level: 'silent' }), tasks: new TaskQueue(), renewEveryMs: 10 };
  const registry = new SessionRegistry(deps);
  const held = await burnedSession(store, { endpointId: 'ep_full' });
  await store.acquirePlace({ ...held, max: 1 });
  const session = {
    ...{ id: held.sessionId, held, lease: held, endpoint: {}, over: false, left: false },
    leave: () => {
      Object.assign(session, { over: true, left: true });
      registry.remove(session as unknown as Session);
    },
  };
  registry.add(session as unknown as Session);
  const isFull = async () => !(await store.acquirePlace({ ...held, sessionId: 'sess_next', max: 1 }));
  return { store, registry, session, held, isFull };
}

test('a session that another node holds by now is left, and its place stays that of the other', async () => {
  const { store, registry, session, held, isFull } = await setUp();
  const { sessionId, node, epoch } = held;
  const from = { node, epoch };
  expect(await store.adopt({ sessionId, node: 'n_bbbbbbbb', from, ticket: 't1', successor: 't2' })).toMatchObject({
    adopted: true,
  });
  await expect.poll(() => session.left).toBe(true);
  await sleep(30);
  expect([registry.size, await isFull()]).toEqual([0, true]);
  await registry.close('completed');
});

test('the place of a session that ended during its renewal is given back again', async () => {
  const { store, registry, session, held, isFull } = await setUp();
  const renew = store.renew.bind(store);
  store.renew = async (sessions) => {
    session.over = true;
    await store.releasePlace(held);
    await renew(sessions);
  };
  await expect.poll(isFull).toBe(false);
  registry.remove(session as unknown as Session);
  await registry.close('completed');
});

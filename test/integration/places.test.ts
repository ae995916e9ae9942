import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

const LEASE_MS = 30_000;

describe('the places of an endpoint, over two processes', () => {
  let redis: TestRedis;
  let deployment: Deployment;
  let servers: ServerProcess[];
  let sockets: TestSocket[] = [];

  beforeAll(async () => {
    redis = await TestRedis.start();
    // Renewed so often that every hang-up meets a renewal.
    deployment = await Deployment.create({
      redisUrl: redis.url,
      settings: { session: { lease_renew_ms: 20, grace_ms: 300 } },
    });
    servers = await Promise.all([deployment.server(), deployment.server()]);
  });

  afterEach(async () => {
    for (const socket of sockets) await socket.cut();
    sockets = [];
  });

  afterAll(async () => {
    try {
      await deployment?.stop();
    } finally {
      await redis?.stop();
    }
  });

  const call = async (server: number, endpointId: string) => {
    const { id, token } = await deployment.mint(servers[server]!, endpointId);
    const socket = await startCall(servers[server]!.wsUrl, { token, endpoint_id: endpointId });
    sockets.push(socket);
    return { id, token, socket, first: await socket.next() };
  };

  const hangUp = async ({ socket }: { socket: TestSocket }) => {
    socket.send({ type: 'hangup' });
    await socket.skipTo('ended');
  };

  const held = async (endpointId: string): Promise<number> =>
    Number(await redis.cli('ZCARD', `callgate:{endpoint:${endpointId}}:places`));

  it('are counted together', async () => {
    const first = await call(0, 'ep_two');
    const second = await call(1, 'ep_two');
    expect([first.first.type, second.first.type]).toEqual(['offer', 'offer']);
    for (const server of [0, 1]) {
      const refused = await call(server, 'ep_two');
      expect(refused.first).toMatchObject({ type: 'error', code: 'at_capacity', retryable: true });
      expect((await refused.socket.closing()).code).toBe(4429);
      expect(await deployment.read(servers[0]!, refused.id)).toMatchObject({ status: 'issued' });
    }
    await hangUp(first);
    expect((await call(1, 'ep_two')).first.type).toBe('offer');
  });

  it('are free at once when the end is told, in the other process too', async () => {
    for (let round = 0; round < 20; round++) {
      const taken = await call(round % 2, 'ep_one');
      expect(taken.first.type).toBe('offer');
      await hangUp(taken);
    }
    expect(await held('ep_one')).toBe(0);
  });

  it('are not taken again by a renewal that was on its way at the hang-up', async () => {
    for (let round = 0; round < 8; round++) {
      const calls = await Promise.all(Array.from({ length: 25 }, (_, index) => call(index % 2, 'ep_echo')));
      await Promise.all(calls.map(hangUp));
    }
    await delay(200);
    expect(await held('ep_echo')).toBe(0);
  });

  it('are taken again when the store has lost them', async () => {
    const { socket } = await call(0, 'ep_one');
    await redis.cli('DEL', 'callgate:{endpoint:ep_one}:places');
    await expect.poll(() => held('ep_one'), { timeout: 5000 }).toBe(1);
    expect((await call(1, 'ep_one')).first).toMatchObject({ code: 'at_capacity' });
    socket.send({ type: 'hangup' });
    expect(await socket.expect('ended')).toEqual({ type: 'ended', reason: 'completed' });
    await expect.poll(() => held('ep_one'), { timeout: 5000 }).toBe(0);
  });

  it('of a killed process lapse with its lease, and its sessions read as lost', { timeout: 90_000 }, async () => {
    const doomed = await call(0, 'ep_one');
    expect(doomed.first.type).toBe('offer');
    servers[0]!.signal('SIGKILL');
    await servers[0]!.exited;
    const since = performance.now();

    let next = await call(1, 'ep_one');
    expect(next.first).toMatchObject({ code: 'at_capacity' });
    expect(await deployment.read(servers[1]!, doomed.id)).toMatchObject({ status: 'active' });
    while (next.first.type !== 'offer' && performance.now() - since < LEASE_MS + 20_000) {
      await delay(500);
      next = await call(1, 'ep_one');
    }
    expect(next.first.type).toBe('offer');
    expect(performance.now() - since).toBeGreaterThan(LEASE_MS - 2000);
    expect(await deployment.read(servers[1]!, doomed.id)).toMatchObject({
      status: 'completed',
      session: { end_reason: 'node_lost' },
    });
  });
});

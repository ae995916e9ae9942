import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import * as mediasoup from 'mediasoup';
import type { Router, RouterRtpCodecCapability } from 'mediasoup/types';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CallgateError } from '../../src/errors.ts';
import { Rooms } from '../../src/media/rooms.ts';
import { WorkerPool, type WorkerPoolOptions, type WorkerSlot } from '../../src/media/workers.ts';
import { freePort } from '../support/ports.ts';

const mediaCodecs: RouterRtpCodecCapability[] = [
  { kind: 'audio', mimeType: 'audio/opus', clockRate: 48_000, channels: 2, preferredPayloadType: 100 },
];

const errors: unknown[] = [];
const warnings: unknown[] = [];
const log: WorkerPoolOptions['log'] = {
  warn: (...entry: unknown[]) => void warnings.push(entry),
  error: (...entry: unknown[]) => void errors.push(entry),
};

/** Every subprocess that any pool of the running test has started. */
const started: number[] = [];
const pools: WorkerPool[] = [];
let routers = 0;

const makePool = async (options: Partial<WorkerPoolOptions> = {}): Promise<WorkerPool> => {
  const pool = await WorkerPool.create({
    workers: 2,
    mediaCodecs,
    listen: { addresses: ['127.0.0.1'] },
    maxCallsPerWorker: 100,
    log,
    ...options,
  });
  pools.push(pool);
  return pool;
};

const acquire = async (pool: WorkerPool): Promise<WorkerSlot> => pool.acquire();

const rooms = new WeakMap<WorkerPool, Rooms>();
const roomsOf = (pool: WorkerPool): Rooms => rooms.get(pool) ?? rooms.set(pool, new Rooms(pool, 100)).get(pool)!;
const enter = (pool: WorkerPool, id: string) => roomsOf(pool).enter(id);

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

const portsOf = async ({ router, webRtcServer }: Pick<WorkerSlot, 'router' | 'webRtcServer'>): Promise<number[]> => {
  const transport = await router.createWebRtcTransport({ webRtcServer, enableTcp: true });
  const ports = transport.iceCandidates.map(({ port }) => port);
  transport.close();
  return ports;
};

const closed = async (router: Router): Promise<void> => {
  if (!router.closed) await once(router.observer, 'close');
};

const firstPid = (pool: WorkerPool): number => pool.workers[0]!.pid;
const calls = (pool: WorkerPool): number[] => pool.workers.map((worker) => worker.calls);

beforeEach(() => {
  errors.length = 0;
  warnings.length = 0;
  started.length = 0;
  routers = 0;
  mediasoup.observer.on('newworker', (worker) => {
    started.push(worker.pid);
    worker.observer.on('newrouter', () => routers++);
  });
});

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
  mediasoup.observer.removeAllListeners('newworker');
  expect(started.filter(isRunning)).toEqual([]);
});

describe('placement', () => {
  it('puts each call on the least-loaded worker', async () => {
    const pool = await makePool();
    const [first, second] = await Promise.all([acquire(pool), acquire(pool), acquire(pool), acquire(pool)]);
    expect(calls(pool)).toEqual([2, 2]);
    expect(first!.router).not.toBe(second!.router);

    first!.release();
    expect(calls(pool)).toEqual([1, 2]);
    expect((await acquire(pool)).router).toBe(first!.router);
  });

  it('makes no router for a call outside rooms', async () => {
    const pool = await makePool({ workers: 1 });
    const slots = await Promise.all([acquire(pool), acquire(pool)]);
    expect(slots[1].router).toBe(slots[0].router);
    for (const slot of slots) slot.release();
    expect(slots[0].router.closed).toBe(false);
    expect(routers).toBe(1);
  });

  it('refuses the call that every worker is too full for, and takes it once a slot is released', async () => {
    const pool = await makePool({ maxCallsPerWorker: 1 });
    const slots = await Promise.all([acquire(pool), acquire(pool)]);
    const refusal = await acquire(pool).catch((error: CallgateError) => error);
    expect(refusal).toMatchObject({ code: 'at_capacity', retryable: true });

    slots[0].release();
    slots[0].release();
    expect(pool.calls).toBe(1);
    await acquire(pool);
    await expect(acquire(pool)).rejects.toMatchObject({ code: 'at_capacity' });
  });
});

describe('rooms', () => {
  it('share one router, also when everybody enters while it is being made', async () => {
    const pool = await makePool();
    const slots = await Promise.all(Array.from({ length: 5 }, () => enter(pool, 'ep_room')));
    expect(new Set(slots.map(({ router }) => router)).size).toBe(1);
    expect(calls(pool)).toEqual([5, 0]);
    const { router } = await enter(pool, 'ep_other');
    expect(router).not.toBe(slots[0]!.router);
    expect(calls(pool)).toEqual([5, 1]);
  });

  it('close their router when the last call leaves, and get a new one afterwards', async () => {
    const pool = await makePool();
    const [first, second] = await Promise.all([enter(pool, 'ep_room'), enter(pool, 'ep_room')]);
    first.release();
    first.release();
    expect(second.router.closed).toBe(false);
    second.release();
    expect(second.router.closed).toBe(true);
    expect(roomsOf(pool).size).toBe(0);

    const again = await enter(pool, 'ep_room');
    expect(again.router.closed).toBe(false);
    expect(pool.calls).toBe(1);
  });

  it('are full when their worker is, wherever else there is room', async () => {
    const pool = await makePool({ maxCallsPerWorker: 2 });
    await Promise.all([enter(pool, 'ep_room'), enter(pool, 'ep_room')]);
    await expect(enter(pool, 'ep_room')).rejects.toMatchObject({ code: 'at_capacity', retryable: true });
    expect(calls(pool)).toEqual([2, 0]);
  });
});

describe('a worker that is killed', () => {
  it('is replaced on its old ports, and its routers close', async () => {
    const pool = await makePool({ workers: 1 });
    const echo = await acquire(pool);
    const room = await enter(pool, 'ep_room');
    const ports = await portsOf(echo);
    const pid = firstPid(pool);
    process.kill(pid, 'SIGKILL');
    await Promise.all([closed(echo.router), closed(room.router)]);

    await vi.waitFor(() => expect(pool.ready).toBe(true), { timeout: 20_000 });
    expect(firstPid(pool)).not.toBe(pid);
    expect(pool.calls).toBe(0);
    const next = await enter(pool, 'ep_room');
    expect(next.router).not.toBe(room.router);
    expect(await portsOf({ ...next.slot, ...next })).toEqual(ports);

    echo.release();
    room.release();
    expect(pool.calls).toBe(1);
    expect(next.router.closed).toBe(false);
    // mediasoup may tell of the broken channel before.
    expect(errors.at(-1)).toMatchObject([{ pid, exit: expect.stringContaining('SIGKILL') }, 'a media worker died']);
  });

  it('leaves the others taking calls meanwhile', async () => {
    const pool = await makePool();
    const pid = firstPid(pool);
    const slot = await acquire(pool);
    process.kill(pid, 'SIGKILL');
    await closed(slot.router);
    expect(pool.ready).toBe(true);
    const other = await acquire(pool);
    expect(other.router.closed).toBe(false);
    await vi.waitFor(() => expect(pool.workers).toHaveLength(2), { timeout: 20_000 });
  });

  it('refuses calls as at capacity while it was the only one', async () => {
    const pool = await makePool({ workers: 1 });
    const slot = await acquire(pool);
    process.kill(firstPid(pool), 'SIGKILL');
    await closed(slot.router);
    expect(pool.ready).toBe(false);
    await expect(acquire(pool)).rejects.toMatchObject({ code: 'at_capacity', retryable: true });
    await expect(enter(pool, 'ep_room')).rejects.toMatchObject({ code: 'at_capacity', retryable: true });
  });

  it('frees the slot of a call that was entering a room on it', async () => {
    const pool = await makePool({ workers: 1 });
    process.kill(firstPid(pool), 'SIGKILL');
    await expect(enter(pool, 'ep_room')).rejects.toMatchObject({ code: 'at_capacity', retryable: true });
    await vi.waitFor(() => expect(pool.ready).toBe(true), { timeout: 20_000 });
    expect([pool.calls, roomsOf(pool).size]).toEqual([0, 0]);
    expect((await enter(pool, 'ep_room')).router.closed).toBe(false);
  });

  it('comes back however often it dies', async () => {
    const pool = await makePool({ workers: 1 });
    for (let death = 0; death < 4; death++) {
      const { router } = await acquire(pool);
      process.kill(firstPid(pool), 'SIGKILL');
      await closed(router);
      await vi.waitFor(() => expect(pool.ready).toBe(true), { timeout: 20_000 });
    }
    expect(started).toHaveLength(5);
  });

  it('takes another port when its old one is gone', async () => {
    const pool = await makePool({ workers: 1 });
    const slot = await acquire(pool);
    const ports = await portsOf(slot);
    const thief = createSocket({ type: 'udp4', reuseAddr: false });
    process.kill(firstPid(pool), 'SIGKILL');
    // The kernel frees the port before the death is told.
    await closed(slot.router);
    await bindUdp(thief, ports[0]!);
    await vi.waitFor(() => expect(pool.ready).toBe(true), { timeout: 20_000 });
    expect((await portsOf(await acquire(pool)))[0]).not.toBe(ports[0]);
    thief.close();
  });
});

describe('a worker that is stopped', () => {
  it('gets no calls until it goes on, and is killed and replaced when it does not', async () => {
    const pool = await makePool({ workers: 3, maxCallsPerWorker: 2 });
    const [lost, back, busy] = pool.workers.map(({ pid }) => pid) as [number, number, number];
    const [first] = await Promise.all([enter(pool, 'ep_room'), acquire(pool), acquire(pool)]);
    for (const pid of [lost, back]) process.kill(pid, 'SIGSTOP');
    await expect.poll(() => warnings.length, { timeout: 8000 }).toBe(2);
    await expect(enter(pool, 'ep_room')).rejects.toMatchObject({ code: 'at_capacity', retryable: true });
    expect(pool.ready).toBe(true);
    const third = await acquire(pool);
    expect(calls(pool)).toEqual([1, 1, 2]);
    await expect(acquire(pool)).rejects.toMatchObject({ code: 'at_capacity', retryable: true });
    third.release();

    process.kill(back, 'SIGCONT');
    await vi.waitFor(async () => (await acquire(pool)) && expect(calls(pool)[1]).toBe(2), { timeout: 5000 });
    await closed(first.router);
    await vi.waitFor(() => expect(pool.workers).toHaveLength(3), { timeout: 20_000 });
    expect(pool.workers.slice(1).map(({ pid }) => pid)).toEqual([back, busy]);
    expect(firstPid(pool)).not.toBe(lost);
    expect((await enter(pool, 'ep_room')).router.closed).toBe(false);
    expect(errors).toContainEqual([{ pid: lost }, expect.stringContaining('is killed')]);
  });
});

describe('the ports', () => {
  it('of two workers fit a range of two, for UDP and for TCP', async () => {
    const min = await freePort(1);
    const pool = await makePool({ ports: { min, max: min + 1 } });
    const slots = await Promise.all([acquire(pool), acquire(pool)]);
    const [udp, tcp] = [0, 1].map((index) => Promise.all(slots.map(async (slot) => (await portsOf(slot))[index])));
    expect((await udp!).sort()).toEqual([min, min + 1]);
    expect((await tcp!).sort()).toEqual([min, min + 1]);
  });

  it('of a range that is too small are asked for before anything starts', async () => {
    const rejected = makePool({ ports: { min: 40_000, max: 40_001 }, workers: 3 });
    await expect(rejected).rejects.toThrow('the port range 40000-40001 holds 2 of the 3 ports that 3 workers need');
    expect(started).toEqual([]);
  });

  it('that others hold are told in one error, and nothing is left running', async () => {
    const min = await freePort(1);
    const holder = createSocket('udp4');
    await bindUdp(holder, min);
    const rejected = makePool({ ports: { min, max: min + 1 } });
    await expect(rejected).rejects.toThrow(`a media worker finds no free port in ${min}-${min + 1} on 127.0.0.1`);
    expect(started).toHaveLength(2);
    expect(started.filter(isRunning)).toEqual([]);
    holder.close();
  });

  it('of two pools without a range do not collide', async () => {
    const [one, two] = await Promise.all([makePool(), makePool()]);
    const slots = await Promise.all([one.acquire(), one.acquire(), two.acquire(), two.acquire()]);
    const udp = await Promise.all(slots.map(async (slot) => (await portsOf(slot))[0]));
    expect(new Set(udp).size).toBe(4);
  });
});

describe('closing', () => {
  it('ends every subprocess and closes every router', async () => {
    const pool = await makePool();
    const slot = await enter(pool, 'ep_room');
    await pool.close();
    expect(started).toHaveLength(2);
    expect(started.filter(isRunning)).toEqual([]);
    expect(slot.router.closed).toBe(true);
    expect(pool.ready).toBe(false);
    slot.release();
    await expect(acquire(pool)).rejects.toMatchObject({ code: 'at_capacity' });
    expect(errors).toEqual([]);
  });

  it('takes a worker that dies of the same signal as part of the stop', async () => {
    const pool = await makePool();
    const { router, webRtcServer } = await acquire(pool);
    pool.retire();
    for (const { pid } of pool.workers) process.kill(pid, 'SIGTERM');
    // Written to a channel that nobody may read any more.
    await Promise.allSettled(Array.from({ length: 20 }, () => router.createWebRtcTransport({ webRtcServer })));
    await closed(router);
    await pool.close();
    expect(errors).toEqual([]);
    expect(started).toHaveLength(2);
  });

  it('waits for a replacement that is on its way', async () => {
    const pool = await makePool({ workers: 1 });
    const { router } = await acquire(pool);
    process.kill(firstPid(pool), 'SIGKILL');
    await closed(router);
    await pool.close();
    expect(started.filter(isRunning)).toEqual([]);
  });

  it('leaves the signals of the process to the server', async () => {
    const signals = ['SIGINT', 'SIGTERM'] as const;
    const before = signals.map((signal) => process.listenerCount(signal));
    await makePool();
    expect(signals.map((signal) => process.listenerCount(signal))).toEqual(before);
  });
});

it('says so when the worker binary is missing', async () => {
  await expect(makePool({ workerBin: '/nonexistent/mediasoup-worker' })).rejects.toThrow('ENOENT');
});

const bindUdp = (socket: Socket, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, '127.0.0.1', resolve);
  });

import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { percentiles } from '../../src/load/percentiles.ts';
import { memoryUsed, perPiece, total, type Usage } from '../shared/process-usage.ts';
import { rate } from '../shared/rates.ts';
import { BenchServer } from '../shared/server.ts';
import type { LoopDelays } from '../shared/server-probe.ts';
import { type GateCall, GateClient, startRequest } from './gate-client.ts';
import { type Row, row, type Setting } from './measure.ts';
import { MediasoupFloor } from './mediasoup-floor.ts';

const IN_FLIGHT = 64;

/** Whatever is made once and not once a session, V8's young generation above all, is there before the memory is read. */
const WARM_UP = 2000;

/** Files that a process has open beside its sockets. */
const OTHER_FILES = 200;

/** Many sessions set up, held and expired: how long that takes, what it costs, and how late they end. */
export async function benchHeld(setting: Setting): Promise<Row[]> {
  const count = setting.pick(5000, 1000);
  const seconds = setting.pick(35, 12);
  requireFiles(count + OTHER_FILES);
  const rows = makeRows(count);
  await measureFloor(count, rows);
  await using server = await BenchServer.start(setting.redisUrl);
  await warmUp(server);

  setting.say(`held: setting up ${count} sessions of ${seconds} s`);
  const tokens = await server.mintAll(count, seconds);
  await server.ask('collect');
  const before = memoryUsed(server.pid);
  const client = new GateClient(server);
  const calls: GateCall[] = [];
  const perSecond = await rate(count, IN_FLIGHT, async (index) => {
    calls.push(await client.open(startRequest(tokens[index]!)));
  });
  await server.ask('collect');
  rows.memory(perPiece(before, memoryUsed(server.pid), count), 'ours');
  rows.setUp.ours.push(count / perSecond);

  setting.say('held: holding them');
  // The collection and the set-up are not what holding costs.
  await server.ask('loop');
  const [first, ...others] = calls.map(({ dueAt }) => dueAt);
  const firstDue = others.reduce((least, due) => Math.min(least, due), first!);
  await delay(firstDue - Date.now() - 100);
  const holding = await server.ask<LoopDelays>('loop');

  setting.say('held: letting them expire');
  await Promise.all(calls.map(({ closed }) => closed));
  const expiring = await server.ask<LoopDelays>('loop');
  rows.delays(holding, expiring);
  rows.lateness(calls);
  return rows.all;
}

async function measureFloor(count: number, rows: ReturnType<typeof makeRows>): Promise<void> {
  using mediasoup = await MediasoupFloor.start();
  await mediasoup.rate(WARM_UP);
  await mediasoup.collect();
  const before = memoryUsed(mediasoup.pid);
  rows.setUp.floor.push(count / (await mediasoup.hold(count)));
  await mediasoup.collect();
  rows.memory(perPiece(before, memoryUsed(mediasoup.pid), count), 'floor');
}

async function warmUp(server: BenchServer): Promise<void> {
  const client = new GateClient(server);
  const tokens = await server.mintAll(WARM_UP);
  await rate(WARM_UP, IN_FLIGHT, async (index) => {
    const call = await client.open(startRequest(tokens[index]!));
    call.hangUp();
    await call.closed;
  });
}

function makeRows(count: number) {
  const mediasoup = { floorIs: 'mediasoup: transport, connect, produce' };
  const setUp = row(`${count} sessions set up`, 's', mediasoup);
  const memory = row('memory of a held session', 'KB', { ...mediasoup, aim: '≤ 1.50' });
  const node = row('  of it Node', 'KB', mediasoup);
  const worker = row('  of it the worker', 'KB', mediasoup);
  const loop = (when: string, aim = '') => row(`event-loop delay ${when}`, 'ms', { aim });
  const [held, heldMost] = [loop('holding them, p99', '≤ 50 ms'), loop('holding them, most')];
  const [expiring, expiringMost] = [loop('as they expire, p99', '≤ 50 ms'), loop('as they expire, most')];
  const late = (share: string) => row(`${share} of expiry told after its time`, 'ms');
  const [usual, latest] = [late('p50'), late('p99')];
  return {
    setUp,
    all: [setUp, memory, node, worker, held, heldMost, expiring, expiringMost, usual, latest],
    memory(usage: Usage, side: 'ours' | 'floor') {
      memory[side].push(total(usage));
      node[side].push(usage.own);
      worker[side].push(usage.children);
    },
    delays(holding: LoopDelays, expired: LoopDelays) {
      held.ours.push(holding.p99);
      heldMost.ours.push(holding.max);
      expiring.ours.push(expired.p99);
      expiringMost.ours.push(expired.max);
    },
    lateness(calls: readonly GateCall[]) {
      const wrong = calls.find(({ reason }) => reason !== 'expired');
      if (wrong !== undefined) throw new Error(`a held session ended ${wrong.reason || 'without a word'}`);
      const { p50, p99 } = percentiles(calls.map(({ endedAt, dueAt }) => endedAt - dueAt));
      usual.ours.push(p50);
      latest.ours.push(p99);
    },
  };
}

/** Both the server and the client hold one file for each socket. */
function requireFiles(count: number): void {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }));
  if (limit < count) throw new Error(`${count} files are needed at once and ulimit -n is ${limit}`);
}

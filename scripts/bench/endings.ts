import { setTimeout as delay } from 'node:timers/promises';
import { cpuUsed, perPiece, total } from '../shared/process-usage.ts';
import { rate } from '../shared/rates.ts';
import { BenchServer } from '../shared/server.ts';
import type { Closed, LoopDelays } from '../shared/server-probe.ts';
import { type GateCall, GateClient, startRequest } from './gate-client.ts';
import { LiveClients } from './live-clients.ts';
import { inRounds, type Row, row, type Setting } from './measure.ts';
import { MediasoupFloor } from './mediasoup-floor.ts';

const IN_FLIGHT = 64;

/** What an unhurried second of the live session is compared with. */
const QUIET_MS = 1000;

/** Many sessions that end in one moment: when their transports are closed, when everyone has been told, and who waits. */
export async function benchEndings(setting: Setting): Promise<Row[]> {
  const count = setting.pick(3000, 1000);
  const rows = makeRows(count);
  using mediasoup = await MediasoupFloor.start();
  await inRounds({ ...setting, rounds: setting.pick(2, 1) }, 'endings', async (record) => {
    await mediasoup.hold(count);
    const cpuBefore = cpuUsed(mediasoup.pid);
    const bare = { ms: await mediasoup.end(), cpuMs: total(perPiece(cpuBefore, cpuUsed(mediasoup.pid), 1)) };
    await using server = await BenchServer.start(setting.redisUrl);
    const flow = await endFlow(server, count);
    const stop = await endAll(server, count, () => server.terminate());
    if (record) rows.record(bare, flow, stop);
  });
  return rows.all;
}

interface Ending {
  /** Milliseconds until all transports are closed in Node and in the worker, and until everyone has been told and has left. */
  nodeMs: number;
  workerMs: number;
  toldMs: number;
}

interface Bare {
  ms: number;
  cpuMs: number;
}

interface Disturbance {
  /** CPU of the server until everyone had been told. */
  cpuMs: number;
  quietGapMs: number;
  gapMs: number;
  loopMs: number;
}

/** Closes the flow of all but one session, and watches that one. */
async function endFlow(server: BenchServer, count: number): Promise<Ending & Disturbance> {
  using live = await LiveClients.start(server, 1, 'audio');
  let quietGapMs = 0;
  let cpuBefore = cpuUsed(server.pid);
  const ending = await endAll(server, count, async () => {
    await live.gap();
    await delay(QUIET_MS);
    quietGapMs = await live.gap();
    await server.ask('loop');
    cpuBefore = cpuUsed(server.pid);
    await server.closeFlow();
  });
  const cpuMs = total(perPiece(cpuBefore, cpuUsed(server.pid), 1));
  const { max: loopMs } = await server.ask<LoopDelays>('loop');
  const gapMs = await live.gap();
  await server.openFlow();
  return { ...ending, cpuMs, quietGapMs, gapMs, loopMs };
}

async function endAll(server: BenchServer, count: number, end: () => void | Promise<void>): Promise<Ending> {
  const tokens = await server.mintAll(count);
  const client = new GateClient(server);
  const calls: GateCall[] = [];
  await rate(count, IN_FLIGHT, async (index) => {
    calls.push(await client.open(startRequest(tokens[index]!)));
  });
  const closed = server.ask<Closed>('closed', count);
  // The probe answers in order: by then it is watching.
  await server.ask('loop');
  await end();
  const since = performance.timeOrigin + performance.now();
  const { inNode, inWorker } = await closed;
  await Promise.all(calls.map((call) => call.closed));
  const toldMs = performance.timeOrigin + performance.now() - since;
  return { nodeMs: inNode - since, workerMs: inWorker - since, toldMs };
}

function makeRows(count: number) {
  const flow = endingRows(`${count} sessions ended, flow closed`);
  const stop = endingRows(`${count} sessions ended, graceful stop`);
  const cpu = row('  CPU of all that', 'ms', { floorIs: 'mediasoup closing as many' });
  const gap = row('longest gap of a live session meanwhile', 'ms', { floorIs: 'the same session, a second before' });
  const loop = row('longest event-loop delay meanwhile', 'ms');
  return {
    all: [...flow.all, cpu, gap, loop, ...stop.all],
    record(bare: Bare, flowEnd: Ending & Disturbance, stopEnd: Ending) {
      flow.record(bare.ms, flowEnd);
      stop.record(bare.ms, stopEnd);
      cpu.ours.push(flowEnd.cpuMs);
      cpu.floor.push(bare.cpuMs);
      gap.ours.push(flowEnd.gapMs);
      gap.floor.push(flowEnd.quietGapMs);
      loop.ours.push(flowEnd.loopMs);
    },
  };
}

function endingRows(what: string) {
  const mediasoup = { floorIs: 'mediasoup closing as many' };
  const worker = row(what, 'ms', { ...mediasoup, aim: '≤ 3.00' });
  const node = row('  until all are closed in Node', 'ms', mediasoup);
  const told = row('  until all were told and gone', 'ms', mediasoup);
  return {
    all: [worker, node, told],
    record(bare: number, { nodeMs, workerMs, toldMs }: Ending) {
      for (const { floor } of [worker, node, told]) floor.push(bare);
      worker.ours.push(workerMs);
      node.ours.push(nodeMs);
      told.ours.push(toldMs);
    },
  };
}

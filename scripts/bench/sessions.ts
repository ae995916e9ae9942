import { setTimeout as delay } from 'node:timers/promises';
import { GateClient, startRequest } from './gate-client.ts';
import { JanusCall } from './janus/client.ts';
import { JANUS_IS_MISSING, JanusServer } from './janus/server.ts';
import { inRounds, type Row, rate, row, type Setting } from './measure.ts';
import { MediasoupFloor } from './mediasoup-floor.ts';
import { cpuUsed, perPiece, total, type Usage } from './process-usage.ts';
import { BenchServer } from './server.ts';

const IN_FLIGHT = 64;

/** Every session stands this long, so that all of it is there, in the worker too, when it is ended. */
const HELD_MS = 100;

/** V8 goes on to optimize for about as many; a server that has just started costs half as much again. */
const WARM_UP = 12_000;

/** What a server has begun when it answers, it finishes within this. */
const SETTLE_MS = 300;

interface Call {
  closed: Promise<void>;
  hangUp(): void;
}

interface Cost {
  perSecond: number;
  /** CPU milliseconds of a session. */
  server: Usage;
  client: number;
}

/** Sessions set up and ended a second and CPU per session, beside mediasoup alone and beside Janus. */
export async function benchSessions(setting: Setting): Promise<Row[]> {
  const count = setting.pick(2000, 800);
  await using server = await BenchServer.start(setting.redisUrl);
  using mediasoup = await MediasoupFloor.start();
  await using janus = await JanusServer.start();
  const client = new GateClient(server);
  const rows = makeRows(janus !== undefined);
  const openOurs = async (count: number) => {
    const starts = (await server.mintAll(count)).map((token) => startRequest(token));
    return () => drive(count, (index) => client.open(starts[index]!));
  };
  setting.say('sessions: warming up');
  const warmUp = setting.pick(WARM_UP, 800);
  await (await openOurs(warmUp))();
  await mediasoup.rate(warmUp);
  await inRounds(setting, 'sessions', async (record) => {
    const ours = await costOf(server.pid, count, await openOurs(count));
    const bare = await costOf(mediasoup.pid, count, () => mediasoup.rate(count));
    const theirs = janus && (await costOf(janus.pid, count, () => drive(count, () => JanusCall.open(janus.port))));
    if (record) rows.record(ours, bare, theirs);
  });
  return rows.all;
}

/** Sets calls up, a bounded number at a time, and ends each a little later; how many a second. */
async function drive(count: number, open: (index: number) => Promise<Call>): Promise<number> {
  const since = performance.now();
  const ends: Promise<void>[] = [];
  await rate(count, IN_FLIGHT, async (index) => {
    const call = await open(index);
    ends.push(call.closed);
    setTimeout(() => call.hangUp(), HELD_MS);
  });
  await Promise.all(ends);
  return count / ((performance.now() - since) / 1000);
}

async function costOf(pid: number, count: number, run: () => Promise<number>): Promise<Cost> {
  const before = cpuUsed(pid);
  const ownBefore = process.cpuUsage();
  const perSecond = await run();
  const { user, system } = process.cpuUsage(ownBefore);
  await delay(SETTLE_MS);
  return { perSecond, server: perPiece(before, cpuUsed(pid), count), client: (user + system) / 1000 / count };
}

function makeRows(withJanus: boolean) {
  const mediasoup = { floorIs: 'mediasoup: transport, produce, consume, close' };
  const janus = { floorIs: withJanus ? 'Janus: echo test over its WebSocket' : JANUS_IS_MISSING };
  const rates = row('sessions set up and ended', '/s', { ...mediasoup, aim: '≥ 0.50' });
  const janusRates = row('sessions set up and ended', '/s', { ...janus, aim: '≥ 1.00' });
  const cpu = row('CPU of a session', 'ms', mediasoup);
  const janusCpu = row('CPU of a session', 'ms', { ...janus, aim: '≤ 1.20' });
  const node = row('  of it Node', 'ms', mediasoup);
  const worker = row('  of it the worker', 'ms', mediasoup);
  const client = row('  beside it the client', 'ms', janus);
  const put = ({ ours, floor }: Row, own: number, other?: number) => {
    ours.push(own);
    if (other !== undefined) floor.push(other);
  };
  return {
    all: [rates, janusRates, cpu, node, worker, janusCpu, client],
    record(own: Cost, bare: Cost, theirs: Cost | undefined) {
      put(rates, own.perSecond, bare.perSecond);
      put(janusRates, own.perSecond, theirs?.perSecond);
      put(cpu, total(own.server), total(bare.server));
      put(node, own.server.own, bare.server.own);
      put(worker, own.server.children, bare.server.children);
      put(janusCpu, total(own.server), theirs && total(theirs.server));
      put(client, own.client, theirs?.client);
    },
  };
}

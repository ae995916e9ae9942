import { setTimeout as delay } from 'node:timers/promises';
import { cpuUsed, perPiece, total, type Usage } from '../shared/process-usage.ts';
import { BenchServer } from '../shared/server.ts';
import { drive, opener, WARM_UP } from './drive.ts';
import { JanusCall } from './janus/client.ts';
import { JANUS_IS_MISSING, JanusServer } from './janus/server.ts';
import { inRounds, type Row, row, type Setting } from './measure.ts';
import { MediasoupFloor } from './mediasoup-floor.ts';

/** What a server has begun when it answers, it finishes within this. */
const SETTLE_MS = 300;

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
  await using pair = await BenchServer.start(setting.redisUrl, 2);
  using mediasoup = await MediasoupFloor.start();
  await using janus = await JanusServer.start();
  const [openOurs, openPaired] = [opener(server), opener(pair)];
  const rows = makeRows(janus !== undefined);
  setting.say('sessions: warming up');
  const warmUp = setting.pick(WARM_UP, 800);
  await (await openOurs(warmUp))();
  await (await openPaired(2 * warmUp))();
  await mediasoup.rate(warmUp);
  await inRounds(setting, 'sessions', async (record) => {
    const ours = await costOf(server.pids, count, await openOurs(count));
    const bare = await costOf([mediasoup.pid], count, () => mediasoup.rate(count));
    const theirs = janus && (await costOf([janus.pid], count, () => drive(count, () => JanusCall.open(janus.port))));
    const paired = await costOf(pair.pids, count, await openPaired(count));
    if (record) rows.record({ ours, bare, theirs, paired });
  });
  return rows.all;
}

async function costOf(pids: readonly number[], count: number, run: () => Promise<number>): Promise<Cost> {
  const before = cpuUsedBy(pids);
  const ownBefore = process.cpuUsage();
  const perSecond = await run();
  const { user, system } = process.cpuUsage(ownBefore);
  await delay(SETTLE_MS);
  return { perSecond, server: perPiece(before, cpuUsedBy(pids), count), client: (user + system) / 1000 / count };
}

const cpuUsedBy = (pids: readonly number[]): Usage =>
  pids.map(cpuUsed).reduce((sum, used) => ({ own: sum.own + used.own, children: sum.children + used.children }));

interface Round {
  ours: Cost;
  bare: Cost;
  theirs: Cost | undefined;
  /** Of two processes, and their workers. */
  paired: Cost;
}

function makeRows(withJanus: boolean) {
  const mediasoup = { floorIs: 'mediasoup: transport, produce, consume, close' };
  const janus = { floorIs: withJanus ? 'Janus: echo test over its WebSocket' : JANUS_IS_MISSING };
  const rates = row('sessions set up and ended', '/s', { ...mediasoup, aim: '≥ 0.50' });
  const janusRates = row('sessions set up and ended', '/s', { ...janus, aim: '≥ 1.00' });
  const pairRates = row('  by two processes on one port', '/s', { ...janus, aim: '≥ 1.00' });
  const cpu = row('CPU of a session', 'ms', mediasoup);
  const node = row('  of it Node', 'ms', mediasoup);
  const worker = row('  of it the worker', 'ms', mediasoup);
  const janusCpu = row('CPU of a session', 'ms', { ...janus, aim: '≤ 1.20' });
  const client = row('  beside it the client', 'ms', janus);
  const pairCpu = row('  by two processes on one port', 'ms', { ...janus, aim: '≤ 1.20' });
  const put = ({ ours, floor }: Row, own: number, other?: number) => {
    ours.push(own);
    if (other !== undefined) floor.push(other);
  };
  return {
    all: [rates, janusRates, pairRates, cpu, node, worker, janusCpu, client, pairCpu],
    record({ ours, bare, theirs, paired }: Round) {
      const theirCpu = theirs && total(theirs.server);
      put(rates, ours.perSecond, bare.perSecond);
      put(janusRates, ours.perSecond, theirs?.perSecond);
      put(pairRates, paired.perSecond, theirs?.perSecond);
      put(cpu, total(ours.server), total(bare.server));
      put(node, ours.server.own, bare.server.own);
      put(worker, ours.server.children, bare.server.children);
      put(janusCpu, total(ours.server), theirCpu);
      put(client, ours.client, theirs?.client);
      put(pairCpu, total(paired.server), theirCpu);
    },
  };
}

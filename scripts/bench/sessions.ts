import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { writeAnswer } from '../../src/load/sdp/answer.ts';
import { earlyStart } from '../../test/support/ws-client.ts';
import { type Row, rate } from './measure.ts';
import { cpuMs, family, kilobytes } from './process-usage.ts';
import { type BenchServer, ENDPOINT, startBenchServer } from './server.ts';

const IN_FLIGHT = 64;

/** The answer is applied by then, so that a session that is ended had all its objects. */
const APPLIED_MS = 20;

/** Sessions set up and ended a second, CPU per session and memory per held session, beside mediasoup alone. */
export async function benchSessions(
  redisUrl: string,
  { rounds, sessions, held }: { rounds: number; sessions: number; held: number },
): Promise<Row[]> {
  const server = await startBenchServer(redisUrl);
  const raw = fork(new URL('./raw-mediasoup.ts', import.meta.url), { execArgv: ['--expose-gc'] });
  try {
    await once(raw, 'message');
    const rates: Row = row('sessions set up and ended', '/s', '≥ 0.50');
    const cpu: Row = row('CPU of a session', 'ms', '');
    const memory: Row = row('memory of a held session', 'KB', '≤ 1.50');
    for (let round = 0; round <= rounds; round += 1) {
      const ours = await callRate(server, sessions);
      const floor = await ask<{ rate: number; cpuMs: number }>(raw, { rate: sessions });
      // The first round warms both up.
      if (round === 0) continue;
      rates.ours.push(ours.rate);
      rates.floor.push(floor.rate);
      cpu.ours.push(ours.cpuMs);
      cpu.floor.push(floor.cpuMs);
    }
    memory.ours.push(await memoryOfHeld(server, held));
    memory.floor.push((await ask<{ kilobytes: number }>(raw, { hold: held })).kilobytes);
    return [rates, cpu, memory];
  } finally {
    // mediasoup catches the gentler signals; its worker ends with the pipe to its parent.
    raw.kill('SIGKILL');
    await server.stop();
  }
}

const row = (what: string, unit: string, aim: string): Row => ({
  what,
  unit,
  aim,
  ours: [],
  floor: [],
  floorIs: 'mediasoup: transport, produce, consume, close',
});

async function callRate(server: BenchServer, count: number): Promise<{ rate: number; cpuMs: number }> {
  const tokens = await mintAll(server, count);
  const pids = family(server.pid);
  const before = cpuMs(pids);
  const perSecond = await rate(count, IN_FLIGHT, async (index) => {
    const call = await BenchCall.open(server, tokens[index]!);
    await delay(APPLIED_MS);
    call.hangUp();
    await call.ended;
  });
  return { rate: perSecond, cpuMs: (cpuMs(pids) - before) / count };
}

async function memoryOfHeld(server: BenchServer, count: number): Promise<number> {
  const tokens = await mintAll(server, count);
  const pids = family(server.pid);
  await collectGarbage(server);
  const before = kilobytes(pids);
  const calls: BenchCall[] = [];
  await rate(count, IN_FLIGHT, async (index) => calls.push(await BenchCall.open(server, tokens[index]!)));
  await collectGarbage(server);
  const after = kilobytes(pids);
  for (const call of calls) call.hangUp();
  await Promise.all(calls.map((call) => call.ended));
  return (after - before) / count;
}

/** Memory that nobody holds any more is not what a session costs. */
async function collectGarbage({ pid }: BenchServer): Promise<void> {
  process.kill(pid, 'SIGUSR2');
  await delay(1000);
}

async function mintAll(server: BenchServer, count: number): Promise<string[]> {
  const tokens: string[] = [];
  await rate(count, IN_FLIGHT, async (index) => {
    tokens[index] = await server.mint();
  });
  return tokens;
}

const ask = async <T>(child: ChildProcess, wish: object): Promise<T> => {
  const answer = once(child, 'message');
  child.send(wish);
  return (await answer)[0] as T;
};

/** A call that is negotiated and never connected: the smallest client there is, so that the server is what is measured. */
class BenchCall {
  readonly ended: Promise<unknown>;
  readonly #socket: WebSocket;

  static async open({ url }: BenchServer, token: string): Promise<BenchCall> {
    const start = { type: 'start', endpoint_id: ENDPOINT, token } as const;
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/connect`, ['callgate.v1', earlyStart(start)], {
      perMessageDeflate: false,
    });
    const call = new BenchCall(socket);
    const [data] = (await once(socket, 'message')) as [Buffer];
    const offer = JSON.parse(data.toString()) as { type: string; offer_id: string; sdp: string };
    if (offer.type !== 'offer') throw new Error(`the server said ${data}`);
    socket.send(JSON.stringify({ type: 'answer', offer_id: offer.offer_id, sdp: writeAnswer(offer.sdp) }));
    return call;
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.ended = once(socket, 'close');
  }

  hangUp(): void {
    this.#socket.send('{"type":"hangup"}');
  }
}

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { post } from '../shared/post.ts';
import { rate } from '../shared/rates.ts';
import { BenchServer, ENDPOINT } from '../shared/server.ts';
import { inRounds, type Row, row, type Setting } from './measure.ts';

const IN_FLIGHT = 32;

/** V8 has compiled all of a mint for good after some ten thousand; the floor, which does less, sooner. */
const WARM_UPS = 3;

/** Tokens minted a second over HTTP, beside a Fastify that writes once to the same Redis. */
export async function benchMints(setting: Setting): Promise<Row[]> {
  const mints = setting.pick(4000, 1500);
  const minted = row('mints', '/s', { aim: '≥ 0.50', floorIs: 'Fastify with one Redis write' });
  await using server = await BenchServer.start(setting.redisUrl);
  const raw = fork(new URL('./raw-fastify.ts', import.meta.url), {
    env: { ...process.env, REDIS_URL: setting.redisUrl },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  try {
    const [{ url }] = (await once(raw, 'message')) as [{ url: string }];
    const body = JSON.stringify({ endpoint_id: ENDPOINT, ttl_seconds: 600 });
    const round = async (record: boolean) => {
      const ours = await rate(mints, IN_FLIGHT, () => post(agent, `${server.url}/v1/call-tokens`, body, server.key));
      const floor = await rate(mints, IN_FLIGHT, () => post(agent, url, body));
      if (!record) return;
      minted.ours.push(ours);
      minted.floor.push(floor);
    };
    await inRounds(setting, 'mints', round, WARM_UPS);
    return [minted];
  } finally {
    agent.destroy();
    raw.kill('SIGKILL');
  }
}

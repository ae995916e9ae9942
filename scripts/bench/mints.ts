import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { type Row, rate } from './measure.ts';
import { ENDPOINT, startBenchServer } from './server.ts';

const IN_FLIGHT = 32;

/** Tokens minted a second over HTTP, beside a Fastify that writes once to the same Redis. */
export async function benchMints(redisUrl: string, { rounds, mints }: { rounds: number; mints: number }): Promise<Row> {
  const server = await startBenchServer(redisUrl);
  const raw = fork(new URL('./raw-fastify.ts', import.meta.url), { env: { ...process.env, REDIS_URL: redisUrl } });
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  try {
    const [{ url }] = (await once(raw, 'message')) as [{ url: string }];
    const body = JSON.stringify({ endpoint_id: ENDPOINT, ttl_seconds: 600 });
    const ours: number[] = [];
    const floor: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      const minted = await rate(mints, IN_FLIGHT, () => post(agent, `${server.url}/v1/call-tokens`, body, server.key));
      const bare = await rate(mints, IN_FLIGHT, () => post(agent, url, body));
      // The first round warms both up.
      if (round === 0) continue;
      ours.push(minted);
      floor.push(bare);
    }
    return { what: 'mints', unit: '/s', ours, floor, floorIs: 'Fastify with one Redis write', aim: '≥ 0.50' };
  } finally {
    agent.destroy();
    raw.kill('SIGKILL');
    await server.stop();
  }
}

async function post(agent: Agent, url: string, body: string, key = 'none'): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': body.length };
  const call = request(url, { method: 'POST', agent, headers });
  call.end(body);
  const [response] = await once(call, 'response');
  response.resume();
  await once(response, 'end');
  if (response.statusCode !== 201) throw new Error(`${url} answered ${response.statusCode}`);
}

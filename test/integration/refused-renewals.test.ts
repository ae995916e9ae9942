import { expect, it, onTestFinished } from 'vitest';
import { TestRedis } from '../support/redis.ts';
import { win } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';

it('leases that Redis refuses to renew are told once, and once more when they are renewed again; the call goes on', async () => {
  const redis = await TestRedis.start();
  onTestFinished(() => redis.stop());
  const lines: Record<string, unknown>[] = [];
  const server = await TestServer.start({
    redisUrl: redis.url,
    config: { session: { lease_renew_ms: 100 } },
    log: { level: 'warn', destination: { write: (line: string) => void lines.push(JSON.parse(line)) } },
  });
  onTestFinished(() => server.stop());
  const minted = await server.mint('ep_echo');
  const socket = await win(server, minted);
  const told = (text: string) => lines.filter(({ msg }) => String(msg).includes(text));

  await redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '1');
  await expect.poll(() => told('leases could not be renewed').length, { timeout: 5000 }).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '0');
  await expect.poll(() => told('leases are renewed again').length, { timeout: 5000 }).toBe(1);
  expect(told('leases could not be renewed')).toMatchObject([{ sessions: 1 }]);
  expect(told('leases are renewed again')).toMatchObject([{ after_ms: expect.any(Number) }]);

  expect(await server.read(minted.id)).toMatchObject({ status: 'active' });
  socket.send({ type: 'hangup' });
  expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
}, 30_000);

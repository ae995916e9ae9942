import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { TestRedis } from '../support/redis.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

let redis: TestRedis;
let other: TestServer;
/** Its user may not subscribe: it hears nothing of what is announced. */
let deaf: TestServer;

beforeAll(async () => {
  redis = await TestRedis.start();
  await redis.cli('ACL', 'SETUSER', 'mute', 'on', '>s3cret', '~callgate:*', '+@all', 'resetchannels');
  other = await TestServer.start({ redisUrl: redis.url });
  deaf = await TestServer.start({ redisUrl: redis.url.replace('//', '//mute:s3cret@'), like: other });
});
afterAll(async () => {
  await deaf?.stop();
  await other?.stop();
  await redis?.stop();
});

const call = async (server: TestServer) => {
  const { id, token, endpoint_id } = await server.mint('ep_echo');
  const socket = await startCall(server.wsUrl, { token, endpoint_id }, { timeoutMs: 15_000 });
  const offer = await socket.expect('offer');
  const client = await RtcClient.answer(offer.sdp);
  onTestFinished(() => client.close());
  socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: client.answerSdp });
  await socket.expect('live');
  const [, family, random] = id.split('_');
  const key = `callgate:{${family}}:${random}`;
  const lease = () => redis.cli('HGET', key, 'lapses');
  return { id, socket, key, lease };
};

/** Waits for the next renewal, so that the one after it is as far away as it gets. */
const justRenewed = async ({ lease }: Awaited<ReturnType<typeof call>>): Promise<void> => {
  const before = await lease();
  await expect.poll(lease, { timeout: 12_000, interval: 50 }).not.toBe(before);
};

it.each([
  [
    'never comes to the process that holds it',
    () => deaf,
    async ({ id }) => expect((await other.api('DELETE', `/${id}`)).status).toBe(204),
  ],
  [
    'was lost on its way',
    () => other,
    // All that a revocation leaves behind when Pub/Sub, which delivers at most once, has not.
    async ({ key }) => expect(await redis.cli('HSETNX', key, 'revoked', String(Date.now()))).toBe('1'),
  ],
] as [string, () => TestServer, (of: Awaited<ReturnType<typeof call>>) => Promise<void>][])(
  'a revoked session whose announcement %s ends within 11 s, with the settings as shipped',
  { timeout: 60_000 },
  async (_, where, revoke) => {
    const revoked = await call(where());
    await justRenewed(revoked);
    await revoke(revoked);
    const since = performance.now();
    expect(await revoked.socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'revoked' });
    expect(performance.now() - since).toBeLessThan(11_000);
    expect((await revoked.socket.closing()).code).toBe(1000);
    expect(await other.read(revoked.id)).toMatchObject({ status: 'completed', session: { end_reason: 'revoked' } });
  },
);

import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { TestRedis } from '../support/redis.ts';
import { win } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import type { TestSocket } from '../support/ws-client.ts';

let redis: TestRedis;
let owner: TestServer;
let other: TestServer;

beforeAll(async () => {
  redis = await TestRedis.start();
  owner = await TestServer.start({ redisUrl: redis.url });
  other = await TestServer.start({ redisUrl: redis.url, like: owner });
});
afterAll(async () => {
  await other?.stop();
  await owner?.stop();
  await redis?.stop();
});

let sockets: TestSocket[] = [];
afterEach(async () => {
  for (const socket of sockets) await socket.cut();
  sockets = [];
});

const call = async (server: TestServer) => {
  const minted = await server.mint('ep_echo');
  const socket = await win(server, minted);
  sockets.push(socket);
  return { id: minted.id, socket };
};
const revoke = async (server: TestServer, id: string) =>
  expect((await server.api('DELETE', `/${id}`)).status).toBe(204);
const expectRevoked = async ({ id, socket }: { id: string; socket: TestSocket }) => {
  expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'revoked' });
  expect((await socket.closing()).code).toBe(1000);
  expect(await owner.read(id)).toMatchObject({ status: 'completed', session: { end_reason: 'revoked' } });
};

describe('revoking the token of a call', () => {
  it.each([
    ['the process that holds it', () => owner],
    ['another process', () => other],
  ])('ends the session through %s, and no other', async (_, where) => {
    const [revoked, bystander] = [await call(owner), await call(owner)];
    await revoke(where(), revoked.id);
    await expectRevoked(revoked);
    expect(await owner.read(bystander.id)).toMatchObject({ status: 'active' });
    expect(bystander.socket.messages.map(({ type }) => type)).toEqual(['offer']);
  });

  it.each([
    ['the process that holds it', () => owner, 204],
    ['another process', () => other, 404],
  ])('ends the session through %s although the store has lost every record', async (_, where, status) => {
    const [revoked, bystander] = [await call(owner), await call(owner)];
    await redis.cli('FLUSHALL');
    expect((await where().api('DELETE', `/${revoked.id}`)).status).toBe(status);
    expect(await revoked.socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'revoked' });
    bystander.socket.send({ type: 'hangup' });
    expect(await bystander.socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
    // Nothing is written of what is not known any more.
    expect(await redis.cli('--scan', '--pattern', `callgate:{${revoked.id.split('_')[1]}}*`)).toBe('');
    expect(await redis.cli('--scan', '--pattern', 'callgate:{endpoint:*')).toBe('');
    expect((await owner.api('GET', `/${bystander.id}`)).status).toBe(404);
  });

  it('twice changes nothing', async () => {
    const revoked = await call(owner);
    await Promise.all([revoke(owner, revoked.id), revoke(other, revoked.id)]);
    await expectRevoked(revoked);
    const record = await owner.read(revoked.id);
    await revoke(other, revoked.id);
    expect(await owner.read(revoked.id)).toEqual(record);
  });

  it('is found with the lease when the announcement never comes', async () => {
    await redis.cli('ACL', 'SETUSER', 'mute', 'on', '>s3cret', '~callgate:*', '+@all', 'resetchannels');
    const deaf = await TestServer.start({
      redisUrl: redis.url.replace('//', '//mute:s3cret@'),
      like: owner,
      config: { session: { lease_renew_ms: 300 } },
    });
    onTestFinished(() => deaf.stop());
    const revoked = await call(deaf);
    await revoke(other, revoked.id);
    await expectRevoked(revoked);
  });

  it('is found again when the connection that hears of it was cut', async () => {
    const revoked = await call(owner);
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await revoke(other, revoked.id);
    await expectRevoked(revoked);
  });

  it('leaves calls alone while the store is away, and ends them when it is back', async () => {
    const running = await call(owner);
    redis.pause();
    const refused = await other.api('DELETE', `/${running.id}`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(running.socket.messages.map(({ type }) => type)).toEqual(['offer']);
    redis.resume();
    await expect.poll(async () => (await other.api('DELETE', `/${running.id}`)).status, { timeout: 10_000 }).toBe(204);
    await expectRevoked(running);
  });
});

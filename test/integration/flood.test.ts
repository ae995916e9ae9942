import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_STREAM } from '../../src/telemetry/audit-stream.ts';
import { TestRedis } from '../support/redis.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

const pipeline = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(1000);

describe('a server that strangers send many requests at once', () => {
  let redis: TestRedis;
  let server: TestServer;
  const sockets = new Set<Socket>();
  beforeAll(async () => {
    redis = await TestRedis.start();
    server = await TestServer.start({ redisUrl: redis.url });
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await server?.stop();
    await redis?.stop();
  });

  const flood = (path: string): Socket => {
    const { hostname, port } = new URL(server.running.url);
    const socket = connect(Number(port), hostname);
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.write(pipeline(path));
    return socket;
  };
  const call = async (): Promise<string> => {
    const { id, token } = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token });
    await socket.expect('offer');
    socket.send({ type: 'hangup' });
    await socket.closing();
    return id;
  };
  const eventsOf = async (id: string): Promise<string[]> => {
    const entries = (await redis.cli('XRANGE', AUDIT_STREAM, '-', '+')).split(/\n(?=\d+-\d+\n)/);
    return entries.filter((text) => text.includes(id)).map((text) => /\nevent\n(\w+)/.exec(text)?.[1] ?? '');
  };

  it.each(['/docs/static/callgate.css', '/'])(
    'opens no file for requests of %s whose answers nobody reads, and serves others',
    async (path) => {
      const descriptors = () => readdirSync('/proc/self/fd').length;
      await call();
      const before = descriptors();
      for (let i = 0; i < 5; i++) flood(path).pause();
      await call();
      // Both ends of the five, and what the call itself may keep.
      expect(descriptors() - before).toBeLessThan(30);
      for (const socket of sockets) socket.destroy();
    },
  );

  it('audits every mint, burn and end between refusals without number', async () => {
    let going = true;
    const again = () => void (going && flood('/v1/call-tokens').resume().once('close', again));
    for (let i = 0; i < 5; i++) again();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await call());
    going = false;
    for (const id of ids) await expect.poll(() => eventsOf(id)).toEqual(['mint', 'burn', 'end']);
    expect(await (await fetch(server.running.metricsUrl)).text()).toContain('\ncallgate_audit_dropped_total 0\n');
    const refusals = (await redis.cli('XRANGE', AUDIT_STREAM, '-', '+')).match(/\nevent\nrefusal/g) ?? [];
    expect(refusals.length).toBeLessThanOrEqual(100);
  });
});

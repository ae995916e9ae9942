import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { formatTable } from '../../scripts/bench/table.ts';
import { TextSocket, upgradeRequest } from '../../scripts/bench/text-socket.ts';

let server: WebSocketServer;
let port: number;

beforeAll(async () => {
  server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  server.close();
});

async function connected(onText: (text: string) => void = () => undefined): Promise<[TextSocket, WebSocket]> {
  const socket = new TextSocket(port, upgradeRequest('/', 'bench'), onText);
  const [accepted] = (await once(server, 'connection')) as [WebSocket];
  return [socket, accepted];
}

it('the client of the benchmarks sends what a WebSocket server reads, short and long', async () => {
  const [socket, accepted] = await connected();
  for (const text of ['', 'a', 'b'.repeat(125), 'c'.repeat(126), 'd'.repeat(5000)]) {
    socket.send(text);
    const [data] = await once(accepted, 'message');
    expect(data.toString()).toBe(text);
  }
  expect(accepted.protocol).toBe('bench');
  socket.destroy();
});

it('it reads what a server sends, however the bytes arrive', async () => {
  const texts: string[] = [];
  const [socket, accepted] = await connected((text) => texts.push(text));
  const sent = ['', 'a', 'b'.repeat(126), 'ü'.repeat(10_000), 'e', 'f'.repeat(60_000)];
  for (const text of sent) accepted.send(text);
  await expect.poll(() => texts).toEqual(sent);
  socket.destroy();
});

it('it answers pings, and closes with a handshake from either side', async () => {
  const [socket, accepted] = await connected();
  accepted.ping('still there?');
  const [pong] = await once(accepted, 'pong');
  expect(pong.toString()).toBe('still there?');
  accepted.close(4001);
  const [code] = await once(accepted, 'close');
  expect(code).toBe(4001);
  await socket.closed;

  const [other, itsServer] = await connected();
  other.close();
  await Promise.all([once(itsServer, 'close'), other.closed]);
});

it('it fails when the upgrade is refused', async () => {
  const socket = new TextSocket(port, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', () => undefined);
  await expect(socket.closed).rejects.toThrow('the upgrade was answered with HTTP/1.1 426');
});

it('the table compares neighbours in time, and has no ratio where one side is missing', () => {
  const rest = { unit: 'ms', floorIs: 'a floor', aim: '≤ 2' };
  const table = formatTable([
    { what: 'both', ours: [10, 200, 30], floor: [5, 50, 30], ...rest },
    { what: 'ours alone', ours: [1234.5], floor: [], ...rest },
  ]);
  const cells = table.split('\n').map((line) => line.trim().split(/ {2,}/));
  expect(cells[1]).toEqual(['both', '30 ms', '30 ms', '2.00', '≤ 2', 'a floor']);
  expect(cells[2]).toEqual(['ours alone', '1,235 ms', '–', '–', '≤ 2', 'a floor']);
});

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { SUBPROTOCOL } from '../../src/protocol/codes.ts';
import { startCall, TestSocket, UpgradeRefused } from './ws-client.ts';

let http: Server;
let wss: WebSocketServer;
let url: string;
let seen: { protocols: string | undefined; origin: string | undefined; frames: string[] };
let onSocket: (socket: WebSocket) => void;

beforeEach(async () => {
  seen = { protocols: undefined, origin: undefined, frames: [] };
  onSocket = () => {};
  http = createServer((_, response) => response.writeHead(503).end());
  wss = new WebSocketServer({ noServer: true, handleProtocols: () => SUBPROTOCOL });
  http.on('upgrade', (request, socket, head) => {
    if (request.url === '/refused') return socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    seen.protocols = request.headers['sec-websocket-protocol'];
    seen.origin = request.headers.origin;
    wss.handleUpgrade(request, socket, head, (ws) => {
      ws.on('message', (data) => seen.frames.push(data.toString()));
      onSocket(ws);
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
});

afterEach(async () => {
  await expect.poll(() => wss.clients.size).toBe(0);
  await new Promise((resolve) => http.close(resolve));
});

describe('the protocol client', () => {
  it('reads messages in order and then how the socket was closed', async () => {
    onSocket = (ws) => {
      ws.send('{"type":"live"}');
      ws.send('{"type":"expiring","expires_in_ms":10}');
      ws.send('{"type":"ended","reason":"completed"}');
      ws.close(4422, 'why');
    };
    const socket = await TestSocket.open(url, { origin: 'https://example.com' });
    await socket.expect('live');
    expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
    expect(await socket.closing()).toEqual({ code: 4422, reason: 'why' });
    expect(socket.messages).toHaveLength(3);
    expect(socket.protocol).toBe(SUBPROTOCOL);
    expect(seen).toMatchObject({ protocols: SUBPROTOCOL, origin: 'https://example.com' });
  });

  it('starts with a frame, or inside the upgrade request', async () => {
    onSocket = (ws) => ws.once('message', () => ws.close());
    const start = { endpoint_id: 'ep_echo', token: 'secret' };
    await (await startCall(url, start)).closing();
    expect(seen.frames.map((frame) => JSON.parse(frame))).toEqual([{ type: 'start', ...start }]);

    onSocket = (ws) => ws.close();
    await (await startCall(url, start, { early: true })).closing();
    const [first, second] = seen.protocols!.split(',');
    expect(first).toBe(SUBPROTOCOL);
    const json = Buffer.from(second!.replace('callgate.start.', ''), 'base64url').toString();
    expect(JSON.parse(json)).toEqual({ type: 'start', ...start });
  });

  it('says what came when it waits in vain', async () => {
    onSocket = (ws) => ws.send('{"type":"live"}');
    const socket = await TestSocket.open(url, { timeoutMs: 100 });
    await expect(socket.expect('offer')).rejects.toThrow('expected offer, got {"type":"live"}');
    await expect(socket.next()).rejects.toThrow('100 ms passed while waiting for a message; so far came: live');
    await socket.close();
    await expect(socket.next()).rejects.toThrow('closed with 1000');
  });

  it('tells a refused upgrade by its status', async () => {
    const refused = await TestSocket.open(`${url}/refused`).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(UpgradeRefused);
    expect(refused).toMatchObject({ status: 403 });
  });

  it('can leave without a word', async () => {
    const codes: number[] = [];
    onSocket = (ws) => ws.on('close', (code) => codes.push(code));
    const socket = await TestSocket.open(url);
    await socket.cut();
    await expect.poll(() => codes).toEqual([1006]);
  });
});

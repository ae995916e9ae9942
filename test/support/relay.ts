import type { AddressInfo } from 'node:net';
import { type RawData, WebSocket, WebSocketServer } from 'ws';

/** Stands between callers and a server, and keeps from the callers what a test wants unheard. */
export class Relay {
  readonly #server: WebSocketServer;
  readonly #upstream = new Set<WebSocket>();
  /** Types of messages that callers do not hear; `close` keeps the end of the socket from them too. */
  readonly unheard = new Set<string>();

  static async start(target: string): Promise<Relay> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await new Promise<void>((resolve) => server.once('listening', resolve));
    return new Relay(server, target);
  }

  private constructor(server: WebSocketServer, target: string) {
    this.#server = server;
    server.on('connection', (client, request) => {
      const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(', ');
      this.#join(client, new WebSocket(target, protocols));
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  async stop(): Promise<void> {
    for (const socket of [...this.#upstream, ...this.#server.clients]) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: WebSocket, upstream: WebSocket): void {
    this.#upstream.add(upstream);
    const waiting: RawData[] = [];
    client.on('message', (data) => {
      if (upstream.readyState === WebSocket.OPEN) upstream.send(data, { binary: false });
      else waiting.push(data);
    });
    upstream.on('open', () => {
      for (const data of waiting) upstream.send(data, { binary: false });
    });
    upstream.on('message', (data) => {
      const { type } = JSON.parse(data.toString()) as { type: string };
      if (!this.unheard.has(type)) client.send(data, { binary: false });
    });
    upstream.on('close', (code) => {
      this.#upstream.delete(upstream);
      if (!this.unheard.has('close')) client.close(code === 1006 ? 1011 : code);
    });
    upstream.on('error', () => client.terminate());
    client.on('close', () => upstream.close());
  }
}

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { EARLY_START_PREFIX, SUBPROTOCOL } from '../../src/protocol/codes.ts';
import type { ClientMessage, ServerMessage, SessionInfo } from '../../src/protocol/messages.ts';

/** Says to its clients exactly what a test has it say. */
export class ScriptedGate {
  readonly #server: WebSocketServer;
  readonly #waiting: ((visit: Visit) => void)[] = [];
  readonly #visits: Visit[] = [];

  static async start(): Promise<ScriptedGate> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => SUBPROTOCOL });
    await once(server, 'listening');
    return new ScriptedGate(server);
  }

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on('connection', (socket, request) => {
      const visit = new Visit(socket, request.headers['sec-websocket-protocol'] ?? '');
      const waiting = this.#waiting.shift();
      if (waiting) waiting(visit);
      else this.#visits.push(visit);
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** The next client to come, or the first one that has come and was not asked for. */
  async visit(): Promise<Visit> {
    return this.#visits.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** One socket of a client. */
export class Visit {
  readonly at = performance.now();
  readonly heard: ClientMessage[] = [];
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket, protocols: string) {
    this.#socket = socket;
    const early = protocols.split(', ').find((name) => name.startsWith(EARLY_START_PREFIX));
    if (early) this.#hear(Buffer.from(early.slice(EARLY_START_PREFIX.length), 'base64url').toString());
    socket.on('message', (data) => this.#hear(String(data)));
    this.closed = once(socket, 'close').then(([code]) => code as number);
  }

  say(...messages: ServerMessage[]): void {
    for (const message of messages) this.#socket.send(JSON.stringify(message));
  }

  refuse(code: (ServerMessage & { type: 'error' })['code'], close: number): void {
    this.say({ type: 'error', code, message: code, retryable: false });
    this.#socket.close(close);
  }

  close(code?: number): void {
    this.#socket.close(code);
  }

  /** What the client takes for 1006. */
  cut(): void {
    this.#socket.terminate();
  }

  #hear(text: string): void {
    this.heard.push(JSON.parse(text));
  }
}

export const sessionInfo = (ticket: string, more: Partial<SessionInfo> = {}): SessionInfo => ({
  id: 'sess_1',
  endpoint_id: 'ep_echo',
  expires_at: '2030-01-01T00:00:00Z',
  expires_in_ms: 60_000,
  grace_ms: 30_000,
  ticket,
  ...more,
});

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

// What voice agents for telephone platforms are: it knows nothing of callgate.

export interface StreamFrame {
  event: string;
  sequenceNumber?: string;
  streamSid?: string;
  start?: Record<string, unknown>;
  media?: { track: string; chunk: string; timestamp: string; payload: string };
  mark?: { name: string };
  dtmf?: { track: string; digit: string };
  message?: { content: unknown };
  stop?: Record<string, unknown>;
}

/** One connection that an application has taken. */
export class TakenCall {
  readonly headers: IncomingMessage['headers'];
  readonly frames: StreamFrame[] = [];
  /** As they came. */
  readonly texts: string[] = [];
  readonly socket: WebSocket;
  closedWith: number | undefined;

  constructor(socket: WebSocket, request: IncomingMessage) {
    this.socket = socket;
    this.headers = request.headers;
    socket.on('message', (data) => {
      this.texts.push(String(data));
      this.frames.push(JSON.parse(String(data)) as StreamFrame);
    });
    socket.on('close', (code) => {
      this.closedWith = code;
    });
    socket.on('error', () => {});
  }

  get token(): string {
    return String(this.headers.authorization).replace('Bearer ', '');
  }

  of(event: string): StreamFrame[] {
    return this.frames.filter((frame) => frame.event === event);
  }

  get streamSid(): string | undefined {
    return this.of('start')[0]?.streamSid;
  }

  get audio(): Buffer {
    return Buffer.concat(this.of('media').map(({ media }) => Buffer.from(media!.payload, 'base64')));
  }

  say(audio: Buffer): void {
    this.send({ event: 'media', streamSid: this.streamSid, media: { payload: audio.toString('base64') } });
  }

  mark(name: string): void {
    this.send({ event: 'mark', streamSid: this.streamSid, mark: { name } });
  }

  clear(): void {
    this.send({ event: 'clear', streamSid: this.streamSid });
  }

  send(frame: object): void {
    this.socket.send(JSON.stringify(frame));
  }
}

/** A media application on a free port of loopback, which does what the test says. */
export class TestApplication {
  readonly calls: TakenCall[] = [];
  /** Upgrades that came, taken or not. */
  tries: IncomingMessage[] = [];
  /** Answers an upgrade with this status; 101 takes the call, and 0 says nothing at all. */
  status = 101;
  /** Told of each call that is taken. */
  onCall: (call: TakenCall) => void = () => {};
  readonly #http: Server;
  readonly #connections = new Set<Socket>();
  readonly #sockets: WebSocketServer;

  static async start(port = 0): Promise<TestApplication> {
    const application = new TestApplication();
    await new Promise<void>((resolve) => application.#http.listen(port, '127.0.0.1', resolve));
    return application;
  }

  private constructor() {
    this.#sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    this.#http = createServer();
    this.#http.on('connection', (socket) => {
      this.#connections.add(socket);
      socket.on('close', () => this.#connections.delete(socket));
    });
    this.#http.on('upgrade', (request, socket, head) => {
      this.tries.push(request);
      socket.on('error', () => {});
      if (this.status === 0) return;
      if (this.status !== 101) return void socket.end(`HTTP/1.1 ${this.status} No\r\ncontent-length: 0\r\n\r\n`);
      this.#sockets.handleUpgrade(request, socket, head, (client) => {
        const call = new TakenCall(client, request);
        this.calls.push(call);
        this.onCall(call);
      });
    });
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/calls?key=secret`;
  }

  /** Nobody answers any more. */
  async stop(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    this.#sockets.close();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }
}

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { deadline } from '../shared/deadline.ts';

/** What is parsed at a time. A request has 18 bytes at least, so that this bounds what may wait for its turn. */
const SLICE_BYTES = 1024;
/** A request that was handed out must be answered, and its answer taken, by then. */
const ANSWER_MS = 20_000;

export type Serve = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Has each connection of its servers served in turn: the next request is read once the answer to the last one is written, and
 * other connections get theirs in between. Node itself hands out all requests of a chunk (64 KiB) at once, to be served
 * at the same time, however little of the answers is read.
 */
export class Turns {
  readonly #connections = new WeakMap<Socket, Connection>();
  readonly #answerMs: number;

  constructor(answerMs = ANSWER_MS) {
    this.#answerMs = answerMs;
  }

  /** To be called before the server has a connection. */
  attach(server: Server, serve: Serve): void {
    server.on('connection', (socket) => this.#connections.set(socket, new Connection(socket, serve, this.#answerMs)));
    const take = (request: IncomingMessage, response: ServerResponse) => {
      this.#connections.get(request.socket)?.take(request, response);
    };
    server.on('request', take);
    server.on('checkContinue', take);
    server.on('checkExpectation', take);
    server.on('upgrade', (request) => this.#connections.get(request.socket)?.release());
  }

  /** Whether a request of this connection has not been answered yet. */
  isBusy(socket: Socket): boolean {
    return this.#connections.get(socket)?.busy ?? false;
  }

  /** How many requests this connection has brought so far. */
  requests(socket: Socket): number {
    return this.#connections.get(socket)?.requests ?? 0;
  }

  /** Whether a connection is merely kept for another request. */
  isIdle(socket: Socket): boolean {
    return this.#connections.get(socket)?.idle ?? false;
  }

  /**
   * Reads no more. True when an answer is still due to a request that was read to its end: the connection closes after it,
   * and nothing else may be written.
   */
  stop(socket: Socket): boolean {
    return this.#connections.get(socket)?.stop() ?? false;
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #serve: Serve;
  readonly #answerMs: number;
  readonly #parse: (slice: Buffer) => void;
  /** The first is being served. */
  readonly #exchanges: [IncomingMessage, ServerResponse][] = [];
  requests = 0;
  #unread: Buffer = Buffer.alloc(0);
  #paused = false;
  #stopped = false;
  #idle = false;

  constructor(socket: Socket, serve: Serve, answerMs: number) {
    this.#socket = socket;
    this.#serve = serve;
    this.#answerMs = answerMs;
    // Node's own, which parses. Another one for `data` also keeps it from reading past the stream (`unconsume` in its
    // lib/_http_server.js).
    const [parse] = socket.listeners('data') as [(slice: Buffer) => void];
    this.#parse = parse;
    socket.removeListener('data', parse);
    socket.on('data', this.#receive);
  }

  get busy(): boolean {
    return this.#exchanges.length > 0;
  }

  get idle(): boolean {
    return this.#idle;
  }

  take(...exchange: [IncomingMessage, ServerResponse]): void {
    this.requests += 1;
    if (this.#exchanges.push(exchange) === 1) this.#serveFirst();
  }

  /** Leaves the socket to a WebSocket, with whatever was received behind the request. */
  release(): void {
    this.requests += 1;
    this.#stopped = true;
    this.#socket.removeListener('data', this.#receive);
    if (this.#unread.length > 0) this.#socket.unshift(this.#unread);
  }

  stop(): boolean {
    this.#stopped = true;
    return this.#exchanges[0]?.[0].complete ?? false;
  }

  readonly #receive = (chunk: Buffer): void => {
    this.#idle = false;
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    this.#parseOn();
  };

  /** Until a request is whole and waits for its answer. */
  #parseOn(): void {
    while (this.#unread.length > 0 && !this.#isHeld() && !this.#isOver()) {
      const slice = this.#unread.subarray(0, SLICE_BYTES);
      this.#unread = this.#unread.subarray(SLICE_BYTES);
      this.#parse(slice);
    }
    if (this.#unread.length === 0 || this.#isOver()) return;
    this.#paused = true;
    this.#socket.pause();
  }

  #serveFirst(): void {
    const [request, response] = this.#exchanges[0]!;
    const inTime = deadline(this.#answerMs, () => this.#socket.destroy());
    response.once('close', () => {
      inTime();
      this.#exchanges.shift();
      if (this.#stopped) this.#socket.destroySoon();
      else if (this.#exchanges.length > 0 || this.#paused) setImmediate(() => this.#goOn());
      else this.#idle = request.complete;
    });
    this.#serve(request, response);
  }

  #goOn(): void {
    if (this.#isOver()) return;
    if (this.#exchanges.length > 0) this.#serveFirst();
    if (!this.#isHeld()) this.#parseOn();
    if (!this.#paused || this.#unread.length > 0) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #isHeld(): boolean {
    const [first, second] = this.#exchanges;
    return second !== undefined || first?.[0].complete === true;
  }

  #isOver(): boolean {
    return this.#stopped || this.#socket.destroyed || this.#socket.writableEnded;
  }
}

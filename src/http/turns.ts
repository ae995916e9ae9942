import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
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
    // Who says early that no more requests follow wants the answers all the same (RFC 9112 section 9.6). Node knows this
    // property, but tells nobody.
    Object.assign(server, { httpAllowHalfOpen: true });
    server.on('connection', (socket) => this.#connections.set(socket, new Connection(socket, serve, this.#answerMs)));
    const take = (request: IncomingMessage, response: ServerResponse) => {
      this.#connections.get(request.socket)?.take(request, response);
    };
    server.on('request', take);
    server.on('checkContinue', take);
    server.on('checkExpectation', take);
    server.on('upgrade', (request) => this.#connections.get(request.socket)?.release());
    server.on('connect', (request) => this.#connections.get(request.socket)?.takeLast(request));
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
  readonly #finish: () => void;
  /** The first is being served. */
  readonly #exchanges: [IncomingMessage, ServerResponse][] = [];
  requests = 0;
  #unread: Buffer = Buffer.alloc(0);
  #paused = false;
  #stopped = false;
  #idle = false;
  /** The peer sends nothing more. */
  #ended = false;

  constructor(socket: Socket, serve: Serve, answerMs: number) {
    this.#socket = socket;
    this.#serve = serve;
    this.#answerMs = answerMs;
    // Node's own, which parse. Another one for `data` also keeps it from reading past the stream (`unconsume` in its
    // lib/_http_server.js).
    this.#parse = takeOver(socket, 'data', this.#receive);
    this.#finish = takeOver(socket, 'end', this.#end);
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

  /** Takes a CONNECT, with which Node lets go of the connection: nothing is read behind it. */
  takeLast(request: IncomingMessage): void {
    this.#letGo();
    this.#unread = Buffer.alloc(0);
    this.#socket.pause().on('error', () => {});
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.once('finish', () => this.#socket.destroySoon());
    this.take(request, response);
  }

  /** Leaves the socket to a WebSocket, with whatever was received behind the request. */
  release(): void {
    this.requests += 1;
    this.#stopped = true;
    this.#letGo();
    if (this.#unread.length > 0 && !this.#ended) this.#socket.unshift(this.#unread);
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

  readonly #end = (): void => {
    this.#ended = true;
    if (this.#unread.length === 0) this.#finish();
  };

  #letGo(): void {
    this.#socket.removeListener('data', this.#receive).removeListener('end', this.#end);
  }

  /** Until a request is whole and waits for its answer. */
  #parseOn(): void {
    while (this.#unread.length > 0 && !this.#isHeld() && !this.#isOver()) {
      const slice = this.#unread.subarray(0, SLICE_BYTES);
      this.#unread = this.#unread.subarray(SLICE_BYTES);
      this.#parse(slice);
      if (this.#ended && this.#unread.length === 0 && !this.#isOver()) this.#finish();
    }
    if (this.#unread.length === 0 || this.#isOver()) return;
    this.#paused = true;
    this.#socket.pause();
  }

  #serveFirst(): void {
    const [request, response] = this.#exchanges[0]!;
    if (request.method === 'CONNECT') response.assignSocket(this.#socket);
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

/** Puts a listener in the place of the one that was added last, and returns that. */
function takeOver<T extends unknown[]>(
  socket: Socket,
  event: string,
  listener: (...args: T) => void,
): (...args: T) => void {
  const own = socket.listeners(event).at(-1) as (...args: T) => void;
  socket.removeListener(event, own).on(event, listener as (...args: unknown[]) => void);
  return own;
}

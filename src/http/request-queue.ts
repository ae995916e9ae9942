// Read in Node 24 (lib/_http_server.js): the server puts one listener for `data`, which parses, on every connection before it tells of it.
import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { deadline } from '../shared/deadline.ts';
import { type HookLog, hookMissed } from '../shared/hook.ts';

/** Bytes parsed at a time. A request has at least 18 bytes, so that this bounds how many can wait in a queue. */
const SLICE_BYTES = 1024;
/** A request must be answered, and the client must have read the answer, by then. */
const ANSWER_MS = 20_000;

export type Serve = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Has each connection of its servers served in turn: the next request is read once the answer to the last one is written, and
 * other connections get theirs in between. Node itself parses up to 2 MiB at once, which takes a second where they are chunks
 * of a byte, and hands out all requests in it to be served at the same time, however little of the answers is read.
 */
export class RequestQueue {
  readonly #connections = new WeakMap<Socket, Connection>();
  readonly #log: HookLog;
  readonly #answerMs: number;

  constructor(log: HookLog, answerMs = ANSWER_MS) {
    this.#log = log;
    this.#answerMs = answerMs;
  }

  /** To be called before the server has a connection. */
  attach(server: Server, serve: Serve): void {
    // Who says early that no more requests follow wants the answers all the same (RFC 9112 section 9.6). Node knows this
    // property, but tells nobody.
    Object.assign(server, { httpAllowHalfOpen: true });
    server.on('connection', (socket) => this.#connections.set(socket, new Connection(socket, serve, this.#answerMs)));
    const take = (request: IncomingMessage, response: ServerResponse) => {
      const connection = this.#connections.get(request.socket);
      if (connection?.parses === false) hookMissed(this.#log, { library: 'Node', hook: 'requests in turn' });
      connection?.take(request, response);
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
  readonly #parse: ((slice: Buffer) => void) | undefined;
  /** The first is being served. */
  readonly #exchanges: [IncomingMessage, ServerResponse][] = [];
  requests = 0;
  /** Whether what comes is parsed here. */
  parses = false;
  #serving = false;
  #stopped = false;
  #idle = false;
  #due: NodeJS.Immediate | undefined;

  constructor(socket: Socket, serve: Serve, answerMs: number) {
    this.#socket = socket;
    this.#serve = serve;
    this.#answerMs = answerMs;
    // Node's own, which parses all that comes, as it comes. A listener for `readable` keeps it from reading past the stream
    // (`unconsume` in its lib/_http_server.js), and whoever takes a body from making the stream flow.
    const [parse] = socket.listeners('data') as ((slice: Buffer) => void)[];
    this.#parse = parse;
    if (parse === undefined) return;
    socket.removeListener('data', parse);
    socket.on('readable', this.#goOn);
  }

  get busy(): boolean {
    return this.#exchanges.length > 0;
  }

  get idle(): boolean {
    return this.#idle;
  }

  take(...exchange: [IncomingMessage, ServerResponse]): void {
    this.requests += 1;
    this.#exchanges.push(exchange);
    if (!this.#serving) this.#serveFirst();
  }

  /** Takes a CONNECT, with which Node lets go of the connection: nothing is read behind it. */
  takeLast(request: IncomingMessage): void {
    this.#letGo();
    this.#socket.on('error', () => {});
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
  }

  stop(): boolean {
    this.#stopped = true;
    return this.#exchanges[0]?.[0].complete ?? false;
  }

  #letGo(): void {
    this.#socket.removeListener('readable', this.#goOn);
    clearImmediate(this.#due);
  }

  /** Serves what waits, and parses a slice unless a whole request waits for its answer. */
  readonly #goOn = (): void => {
    if (this.#isOver()) return;
    if (!this.#serving && this.busy) this.#serveFirst();
    if (this.#isHeld() || this.#parse === undefined) return;
    // With nothing left to read this also finds the end.
    const slice = this.#socket.read(Math.min(SLICE_BYTES, this.#socket.readableLength)) as Buffer | null;
    if (slice === null) return;
    this.#idle = false;
    // Others get theirs before the next slice. Set before this one is parsed, because what is in it may let go.
    this.#goOnLater();
    this.parses = true;
    this.#parse(slice);
  };

  #goOnLater(): void {
    clearImmediate(this.#due);
    this.#due = setImmediate(this.#goOn);
  }

  #serveFirst(): void {
    const [request, response] = this.#exchanges[0]!;
    this.#serving = true;
    if (request.method === 'CONNECT') response.assignSocket(this.#socket);
    const inTime = deadline(this.#answerMs, () => this.#socket.destroy());
    response.once('close', () => {
      inTime();
      this.#exchanges.shift();
      this.#serving = false;
      if (this.#stopped) return this.#socket.destroySoon();
      this.#idle = request.complete && this.#socket.readableLength === 0 && !this.busy;
      this.#goOnLater();
    });
    this.#serve(request, response);
  }

  #isHeld(): boolean {
    const [first, second] = this.#exchanges;
    return second !== undefined || first?.[0].complete === true;
  }

  #isOver(): boolean {
    return this.#stopped || this.#socket.destroyed || this.#socket.writableEnded;
  }
}

import type { ClientRequest, IncomingMessage } from 'node:http';
import { type RawData, WebSocket } from 'ws';

/** Ten minutes of sound in one frame, as base64, and more. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024;
/** An application that has so much to read, about 15 seconds, does not read. */
const MAX_UNSENT_BYTES = 256 * 1024;
/** What is read in a second; more waits where it is, until the application's own sockets are full. */
const MAX_FRAMES_PER_SECOND = 1000;
/** One whose answer to a ping is not there by the next hangs. */
const PING_MS = 15_000;
/** The other side's part of the closing handshake must have come by then. */
const CLOSE_MS = 1000;
const NORMAL = 1000;
const NO_STATUS = 1005;
/** RFC 6455 section 7.4.1. */
const UNSUPPORTED = 1003;

/** How a connection to an application ended: it hung up, it refused, or it was lost. */
export type Outcome = { kind: 'ended' } | { kind: 'refused' | 'lost'; why: string };

export interface SocketListener {
  opened(): void;
  /** Throws when the frame cannot be read: the connection is closed over it. */
  text(frame: string): void;
  /** Once, unless it was closed from our side. */
  closed(outcome: Outcome): void;
}

/** One connection to an application, and one try to make it. What comes in and what waits to go out are bounded. */
export class ApplicationSocket {
  readonly #socket: WebSocket;
  readonly #listener: SocketListener;
  #over = false;
  #isAlive = true;
  #ping: NodeJS.Timeout | undefined;
  #resume: NodeJS.Timeout | undefined;
  #frames = 0;
  #windowBegan = 0;

  constructor(url: string, { token, timeoutMs }: { token: string; timeoutMs: number }, listener: SocketListener) {
    this.#listener = listener;
    this.#socket = new WebSocket(url, {
      headers: { authorization: `Bearer ${token}` },
      handshakeTimeout: timeoutMs,
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
      followRedirects: false,
    });
    this.#socket.on('open', () => this.#open());
    this.#socket.on('message', (data, isBinary) => this.#take(data, isBinary));
    this.#socket.on('pong', () => {
      this.#isAlive = true;
    });
    this.#socket.on('error', (error) => this.#end({ kind: 'lost', why: error.message }));
    this.#socket.on('close', (code) => this.#end(outcomeOf(code)));
    this.#socket.on('unexpected-response', (request, response) => this.#refused(request, response));
  }

  send(frame: string): void {
    if (this.#over || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(frame);
    if (this.#socket.bufferedAmount > MAX_UNSENT_BYTES) this.#end({ kind: 'lost', why: 'it does not read' });
  }

  /** Ends it from our side; nothing is told any more. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#leave(NORMAL);
  }

  #open(): void {
    if (this.#over) return;
    this.#ping = setInterval(() => this.#checkAlive(), PING_MS);
    this.#listener.opened();
  }

  #checkAlive(): void {
    if (!this.#isAlive) return this.#end({ kind: 'lost', why: 'it does not answer pings' });
    this.#isAlive = false;
    this.#socket.ping();
  }

  #take(data: RawData, isBinary: boolean): void {
    if (this.#over) return;
    this.#slowDown();
    try {
      if (isBinary) throw new Error('a frame is text');
      this.#listener.text(data.toString());
    } catch (error) {
      this.#end({ kind: 'lost', why: (error as Error).message }, UNSUPPORTED);
    }
  }

  #slowDown(): void {
    const now = performance.now();
    if (now - this.#windowBegan >= 1000) {
      this.#windowBegan = now;
      this.#frames = 0;
    }
    this.#frames++;
    if (this.#frames <= MAX_FRAMES_PER_SECOND || this.#socket.isPaused) return;
    this.#socket.pause();
    this.#resume = setTimeout(() => this.#socket.resume(), this.#windowBegan + 1000 - now);
  }

  #refused(request: ClientRequest, { statusCode = 0 }: IncomingMessage): void {
    request.destroy();
    const kind = statusCode >= 400 && statusCode < 500 ? 'refused' : 'lost';
    this.#end({ kind, why: `it answered the upgrade with ${statusCode}` });
  }

  #end(outcome: Outcome, code?: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#leave(code);
    this.#listener.closed(outcome);
  }

  /** With a code the other side is told, and given the time to hear it. */
  #leave(code?: number): void {
    clearInterval(this.#ping);
    clearTimeout(this.#resume);
    if (code === undefined || this.#socket.readyState !== WebSocket.OPEN) return this.#socket.terminate();
    if (this.#socket.isPaused) this.#socket.resume();
    this.#socket.close(code);
    const timer = setTimeout(() => this.#socket.terminate(), CLOSE_MS);
    this.#socket.once('close', () => clearTimeout(timer));
  }
}

const outcomeOf = (code: number): Outcome =>
  code === NORMAL || code === NO_STATUS ? { kind: 'ended' } : { kind: 'lost', why: `it closed with ${code}` };

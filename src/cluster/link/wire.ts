import { WebSocket } from 'ws';

/** Both ends ping each other so often, and a link on which nothing came for so long is dead. */
const PING_MS = 1000;
const DEAD_MS = 4000;
/** More than this unsent: no new calls. */
const BUSY_BYTES = 1024 * 1024;
/** More than this unsent: the link is closed. */
const STUCK_BYTES = 8 * 1024 * 1024;

export interface WireListener {
  frame(text: string): void;
  /** Once, however it ended. */
  closed(): void;
}

/** The WebSocket under a link, either end: frames of text, heartbeats, bounds. Owns the socket. */
export class Wire {
  readonly #ws: WebSocket;
  readonly #timer: NodeJS.Timeout;
  #heardAt = performance.now();

  /** On a socket that is open. */
  constructor(ws: WebSocket, listener: WireListener) {
    this.#ws = ws;
    this.#timer = setInterval(() => this.#beat(), PING_MS).unref();
    const heard = () => {
      this.#heardAt = performance.now();
    };
    ws.on('ping', heard).on('pong', heard);
    ws.on('message', (data, isBinary) => {
      heard();
      if (isBinary) this.kill();
      else listener.frame(String(data));
    });
    // A close follows.
    ws.on('error', () => undefined);
    ws.once('close', () => {
      clearInterval(this.#timer);
      listener.closed();
    });
  }

  /** Whether it takes no new calls now. */
  get busy(): boolean {
    return this.#ws.readyState !== WebSocket.OPEN || this.#ws.bufferedAmount > BUSY_BYTES;
  }

  send(frame: object): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return;
    this.#ws.send(JSON.stringify(frame));
    if (this.#ws.bufferedAmount > STUCK_BYTES) this.kill();
  }

  /** Ends it in order; what was sent before arrives. */
  close(): void {
    this.#ws.close(1001);
  }

  kill(): void {
    this.#ws.terminate();
  }

  #beat(): void {
    // A process that was stopped finds this due before it has read what came in time: a turn later it has.
    if (performance.now() - this.#heardAt > DEAD_MS) setImmediate(() => this.#judge());
    else if (this.#ws.readyState === WebSocket.OPEN) this.#ws.ping();
  }

  #judge(): void {
    if (performance.now() - this.#heardAt > DEAD_MS) this.kill();
    else this.#beat();
  }
}

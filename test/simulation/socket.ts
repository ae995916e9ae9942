import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import type { Owner, VirtualClock } from './clock.ts';

export interface Wire {
  clock: VirtualClock;
  /** How long the next frame takes, in milliseconds. */
  delay(): number;
}

interface ClientEnd {
  message(message: ServerMessage): void;
  closed(code: number): void;
}

const ABNORMAL = 1006;

/** A WebSocket with both its ends. Frames of one direction keep their order; once it is cut nothing arrives any more. */
export class VirtualSocket extends EventEmitter {
  readonly OPEN = 1;
  readonly bufferedAmount = 0;
  readonly stream = { bytesRead: 0, cork() {}, uncork() {}, end() {} } as unknown as Socket;
  readyState = 1;
  /** Hears what the server sends, at the moment when it does. */
  sent: (message: ServerMessage) => void = () => {};
  readonly #wire: Wire;
  readonly #server: Owner;
  #client: ClientEnd | undefined;
  #cut = false;
  #toServer = 0;
  #toClient = 0;

  constructor(wire: Wire, server: Owner, client: ClientEnd) {
    super();
    this.#wire = wire;
    this.#server = server;
    this.#client = client;
  }

  get asWebSocket(): WebSocket {
    return this as unknown as WebSocket;
  }

  // ---- the server's end

  send(text: string): void {
    const message = JSON.parse(text) as ServerMessage;
    this.sent(message);
    this.#later('client', () => this.#client?.message(message));
  }

  close(code: number): void {
    if (this.readyState !== 1) return;
    this.readyState = 2;
    this.#later('client', () => {
      this.#tellClient(code);
      this.#later('server', () => this.#tellServer(code));
    });
    // Without the client's answer the server does not wait for ever.
    this.#wire.clock.after(2000, this.#server, () => this.#tellServer(ABNORMAL));
  }

  terminate(): void {
    this.cut(0, 0);
  }

  ping(): void {}
  pong(): void {}
  pause(): void {}

  // ---- the client's end

  /** The upgrade reaches the server. */
  open(run: () => void): void {
    this.#later('server', run);
  }

  say(message: object): void {
    this.#later('server', () => {
      if (this.readyState !== 3) this.emit('message', Buffer.from(JSON.stringify(message)), false);
    });
  }

  /** The client closes it itself. */
  leave(code: number): void {
    this.#client = undefined;
    this.#later('server', () => this.#tellServer(code));
  }

  /** Nothing arrives any more; each end notices after a while of its own. */
  cut(serverMs: number, clientMs: number): void {
    if (this.#cut) return;
    this.#cut = true;
    this.#wire.clock.after(serverMs, this.#server, () => this.#tellServer(ABNORMAL));
    this.#wire.clock.after(clientMs, undefined, () => this.#tellClient(ABNORMAL));
  }

  #tellServer(code: number): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.emit('close', code, Buffer.alloc(0));
  }

  #tellClient(code: number): void {
    const client = this.#client;
    this.#client = undefined;
    client?.closed(code);
  }

  #later(to: 'server' | 'client', run: () => void): void {
    const { clock, delay } = this.#wire;
    const at = Math.max(clock.now + delay(), to === 'server' ? this.#toServer : this.#toClient);
    if (to === 'server') this.#toServer = at;
    else this.#toClient = at;
    clock.after(at - clock.now, to === 'server' ? this.#server : undefined, () => {
      if (!this.#cut) run();
    });
  }
}

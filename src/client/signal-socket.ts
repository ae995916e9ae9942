import { SUBPROTOCOL } from '../protocol/codes.ts';
import type { ClientMessage, FirstMessage, ServerMessage } from '../protocol/messages.ts';
import { openSocket } from './address.ts';
import { readServerMessage } from './server-message.ts';
import { earlyStart } from './start.ts';

export interface SocketListener {
  opened(): void;
  message(message: ServerMessage): void;
  /** The socket is gone and this was not asked for. */
  closed(code: number, opened: boolean): void;
}

/** One WebSocket, and the quickest way to get its first message to the server. */
export class SignalSocket {
  readonly #socket: WebSocket;
  /** What goes in a frame as soon as the socket is open. */
  #pending: FirstMessage | undefined;
  #presented = false;

  /** Without a first message it waits for `present`. Throws `address_invalid`. */
  constructor(address: string, first: FirstMessage | undefined, listener: SocketListener) {
    const early = first && earlyStart(first);
    this.#presented = early !== undefined;
    if (!early) this.#pending = first;
    this.#socket = openSocket(address, early ?? [SUBPROTOCOL]);
    let opened = false;
    this.#socket.onopen = () => {
      opened = true;
      this.#sayFirst();
      listener.opened();
    };
    this.#socket.onmessage = ({ data }) => {
      const message = readServerMessage(data);
      if (message) listener.message(message);
    };
    this.#socket.onclose = ({ code }) => listener.closed(code, opened);
    // A close follows. Outside browsers an error that nobody hears may end the whole program (ws does so).
    this.#socket.onerror = () => {};
  }

  /** Whether the server may have seen the first message. */
  get presented(): boolean {
    return this.#presented;
  }

  /** Whether it is on its way, or will be as soon as the socket is open. */
  get hasFirst(): boolean {
    return this.#presented || this.#pending !== undefined;
  }

  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  present(first: FirstMessage): void {
    this.#pending = first;
    if (this.open) this.#sayFirst();
  }

  send(message: ClientMessage): void {
    if (this.open) this.#socket.send(JSON.stringify(message));
  }

  /** Nothing is told any more. The server takes 1000 as a hang-up, and a close without a code as a loss. */
  close(code?: 1000): void {
    this.#socket.onopen = null;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close(code);
  }

  #sayFirst(): void {
    if (!this.#pending) return;
    this.send(this.#pending);
    this.#presented = true;
    this.#pending = undefined;
  }
}

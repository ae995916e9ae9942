import { type CallErrorCode, CLOSE_CODES } from '../protocol/codes.ts';
import type { ClientMessage, FirstMessage, ServerMessage, SessionInfo, StartMessage } from '../protocol/messages.ts';
import { webSocketUrls } from './address.ts';
import { keepsCertificate } from './certificate.ts';
import type { Deadlines } from './deadlines.ts';
import { CallError } from './errors.ts';
import { Reconnection } from './reconnection.ts';
import { SignalSocket } from './signal-socket.ts';
import { makeResume } from './start.ts';
import type { ConnectOptions } from './types.ts';

/** The server wants a start 5 s after the upgrade; a token that takes longer gets a socket of its own. */
const TOKEN_PATIENCE_MS = 4000;

const UNOPENED =
  'The WebSocket could not be opened: check the address, and that what stands before the server passes WebSockets on';

const GONE = 'The session is over on the server, or goes on on a newer socket';

/** Of a server that does not say its own, in milliseconds. */
const GRACE_MS = 30_000;

/** What may be otherwise at the next try to come back. */
const PASSING = new Set<CallErrorCode>(['unavailable', 'at_capacity', 'rate_limited']);

export interface SignalingListener {
  open(): void;
  message(message: ServerMessage): void;
  /** The server is not heard at the moment; it is again from the message `resumed` on. */
  reconnecting(): void;
  /** Nothing more will be heard, and this was not asked for. */
  lost(error: CallError): void;
  /** No start could be made. */
  failed(error: CallError): void;
}

/** The connection to the server: a socket to start with, and others to come back with to the same session. */
export class Signaling {
  readonly #addresses: readonly string[];
  readonly #fresh: boolean;
  readonly #listener: SignalingListener;
  readonly #deadlines: Deadlines;
  readonly #reconnection = new Reconnection({ attempt: () => this.#resume(), gaveUp: (ms) => this.#giveUp(ms) });
  /** Which address is next. */
  #next = 0;
  #socket: SignalSocket | undefined;
  #start: StartMessage | undefined;
  #presented = false;
  #session: SessionInfo | undefined;
  /** Why the last try to come back was in vain. */
  #refusal: CallErrorCode | undefined;
  /** The call is being hung up. */
  #leaving = false;
  /** The server has said its last word. */
  #over = false;
  #closed = false;

  /** Throws `address_invalid`. */
  constructor({ url, certificate }: ConnectOptions, deadlines: Deadlines, listener: SignalingListener) {
    this.#addresses = webSocketUrls(url);
    this.#fresh = keepsCertificate(certificate);
    this.#deadlines = deadlines;
    this.#listener = listener;
  }

  /**
   * Starts with the token, in the upgrade request where it fits. One that is still to be fetched costs no more round trips:
   * the socket opens meanwhile. Throws `address_invalid`.
   */
  present({ token, getToken }: ConnectOptions, startWith: (token: string) => StartMessage): void {
    if (token !== undefined) return this.#begin(startWith(token));
    this.#open();
    this.#fetch(getToken)
      .then((token) => this.#beginLater(startWith(token)))
      .catch((error: CallError) => this.#listener.failed(error));
  }

  /** Whether the server may have seen the start. */
  get presented(): boolean {
    return this.#presented || this.#socket?.presented === true;
  }

  /** Whether the server knows of the call, and hears of its end. */
  get started(): boolean {
    return this.reconnecting || (this.presented && this.#socket?.open === true);
  }

  get reconnecting(): boolean {
    return this.#reconnection.running;
  }

  /** What is said while nobody hears it is lost. */
  send(message: ClientMessage): void {
    if (!this.reconnecting) this.#socket?.send(message);
  }

  /** Now, or as soon as the server hears. */
  hangUp(): void {
    this.#leaving = true;
    this.send({ type: 'hangup' });
  }

  /** There is a network again. */
  retry(): void {
    this.#reconnection.now();
  }

  /** The socket says nothing any more, although it may still look open; false when there is no way back. */
  renew(): boolean {
    if (this.reconnecting || !this.#mayReturn) return false;
    this.#comeBack();
    return true;
  }

  /** The socket of the start does not open: tries the next address; false when there is none left. */
  openNext(): boolean {
    while (!this.#session && this.#next < this.#addresses.length) {
      this.#drop();
      try {
        this.#open();
        return true;
      } catch {
        // This browser refuses the address; another one may do.
      }
    }
    return false;
  }

  close(): void {
    this.#closed = true;
    this.#reconnection.end();
    this.#drop(1000);
  }

  #begin(start: StartMessage): void {
    this.#start = start;
    this.#open();
  }

  /** Rejects with `token_unavailable`. */
  async #fetch(getToken: () => string | Promise<string>): Promise<string> {
    const patience = setTimeout(() => this.#drop(), TOKEN_PATIENCE_MS);
    try {
      const token = await this.#deadlines.during('token', Promise.resolve().then(getToken));
      if (typeof token !== 'string' || token === '') throw new TypeError('getToken returned no token');
      return token;
    } catch (cause) {
      throw new CallError('token_unavailable', { cause });
    } finally {
      clearTimeout(patience);
    }
  }

  #beginLater(start: StartMessage): void {
    if (this.#closed) return;
    if (!this.#socket) {
      this.#next = 0;
      return this.#begin(start);
    }
    this.#start = start;
    this.#socket.present(start);
    if (this.#socket.presented) this.#deadlines.begin('offer');
  }

  /** Opens the socket of a start. */
  #open(): void {
    this.#deadlines.begin('socket');
    this.#connect(this.#start, () => {
      this.#deadlines.end('socket');
      if (this.#socket?.presented) this.#deadlines.begin('offer');
      this.#listener.open();
    });
  }

  #connect(first: FirstMessage | undefined, opened: () => void): void {
    const address = this.#addresses[this.#next++ % this.#addresses.length]!;
    this.#socket = new SignalSocket(address, first, {
      opened,
      message: (message) => this.#hear(message),
      closed: (code, opened) => this.#onClosed(code, opened),
    });
  }

  #hear(message: ServerMessage): void {
    if (message.type === 'error') {
      // Its patience is over and ours, by its settings or by the slow timers of a page in the background, is not.
      if (message.code === 'start_timeout' && !this.#socket?.hasFirst) return this.#drop();
      if (this.#mayReturn && PASSING.has(message.code)) return this.#comeBack(message.code);
    }
    if (message.type === 'error' || message.type === 'ended') this.#over = true;
    if (message.type === 'offer' || message.type === 'resumed') this.#session = message.session;
    if (message.type === 'resumed') this.#reconnection.end();
    if (message.type === 'resumed' && this.#leaving) return this.send({ type: 'hangup' });
    this.#listener.message(message);
  }

  #onClosed(code: number, opened: boolean): void {
    if (this.#mayReturn && !isFinal(code)) return this.#comeBack();
    if (!opened && this.openNext()) return;
    this.#lose(code, opened);
  }

  /** Whether a lost socket leaves a session to come back to. A hang-up that was said may have been heard. */
  get #mayReturn(): boolean {
    return this.#session !== undefined && !this.#over && (!this.#leaving || this.reconnecting);
  }

  #comeBack(refusal?: CallErrorCode): void {
    this.#refusal = refusal;
    this.#drop();
    if (this.reconnecting) return this.#reconnection.failed();
    this.#listener.reconnecting();
    this.#reconnection.begin(this.#session?.grace_ms ?? GRACE_MS);
  }

  #resume(): void {
    this.#drop();
    try {
      this.#connect(makeResume(this.#session!, this.#fresh), () => {});
    } catch {
      // As above.
      this.#reconnection.failed();
    }
  }

  #giveUp(ms: number): void {
    const told = this.#refusal ? `it last said ${this.#refusal}` : 'the network is gone, or nobody answers there';
    const message = `Tried for ${Math.round(ms / 1000)} s in vain to come back to the call on the server: ${told}`;
    this.close();
    this.#listener.lost(new CallError('network_error', { message }));
  }

  #lose(closeCode: number, opened: boolean): void {
    this.close();
    const details = { closeCode, retryable: !this.presented };
    if (closeCode === CLOSE_CODES.session_gone)
      return this.#listener.lost(new CallError('session_gone', { ...details, message: GONE }));
    this.#listener.lost(new CallError('network_error', { ...details, ...(!opened && { message: UNOPENED }) }));
  }

  #drop(code?: 1000): void {
    const socket = this.#socket;
    this.#presented = this.presented;
    this.#socket = undefined;
    this.#deadlines.end('socket');
    socket?.close(code);
  }
}

/** What the server says with its code has been decided, whether or not its message came through. */
const isFinal = (code: number): boolean => code >= 4400 && code < 4500 && code !== CLOSE_CODES.rate_limited;

import { SUBPROTOCOL } from '../protocol/codes.ts';
import type { ClientMessage, ServerMessage, StartMessage } from '../protocol/messages.ts';
import { openSocket, webSocketUrl } from './address.ts';
import type { Deadlines } from './deadlines.ts';
import { CallError, type CallErrorDetails, isServerCode } from './errors.ts';
import { earlyStart } from './start.ts';
import type { ConnectOptions } from './types.ts';

/** The server wants a start 5 s after the upgrade; a token that takes longer gets a socket of its own. */
const TOKEN_PATIENCE_MS = 4000;

const UNOPENED =
  'The WebSocket could not be opened: check the address, and that what stands before the server passes WebSockets on';

export interface SignalingListener {
  open(): void;
  message(message: ServerMessage): void;
  /** The socket is gone and this was not asked for. */
  lost(details: CallErrorDetails): void;
  /** No start could be made. */
  failed(error: CallError): void;
}

/** The WebSocket of one call, and the quickest way to get its start to the server. */
export class Signaling {
  readonly #address: string;
  readonly #listener: SignalingListener;
  readonly #deadlines: Deadlines;
  #socket: WebSocket | undefined;
  /** The start that goes in a frame as soon as the socket is open. */
  #pending: StartMessage | undefined;
  #presented = false;
  #closed = false;

  /** Throws `address_invalid`. */
  constructor(url: string | URL, deadlines: Deadlines, listener: SignalingListener) {
    this.#address = webSocketUrl(url);
    this.#deadlines = deadlines;
    this.#listener = listener;
  }

  /**
   * Starts with the token, in the upgrade request where it fits. One that is still to be fetched costs no more round trips:
   * the socket opens meanwhile. Throws `address_invalid`.
   */
  present({ token, getToken }: ConnectOptions, startWith: (token: string) => StartMessage): void {
    if (token !== undefined) return this.#start(startWith(token));
    this.#open([SUBPROTOCOL]);
    this.#fetch(getToken)
      .then((token) => this.#startLater(startWith(token)))
      .catch((error: CallError) => this.#listener.failed(error));
  }

  /** Whether the server may have seen the start. */
  get presented(): boolean {
    return this.#presented;
  }

  get started(): boolean {
    return this.#presented && this.#socket?.readyState === WebSocket.OPEN;
  }

  send(message: ClientMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #start(start: StartMessage): void {
    const protocols = earlyStart(start);
    this.#presented = protocols !== undefined;
    if (!protocols) this.#pending = start;
    this.#open(protocols ?? [SUBPROTOCOL]);
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

  #startLater(start: StartMessage): void {
    if (this.#closed) return;
    if (!this.#socket) return this.#start(start);
    this.#pending = start;
    if (this.#socket.readyState === WebSocket.OPEN) this.#sayStart();
  }

  #open(protocols: string[]): void {
    const socket = openSocket(this.#address, protocols);
    this.#socket = socket;
    this.#deadlines.begin('socket');
    let opened = false;
    const current = () => this.#socket === socket;
    socket.onopen = () => {
      if (!current()) return;
      opened = true;
      this.#deadlines.end('socket');
      this.#sayStart();
      this.#listener.open();
    };
    socket.onmessage = ({ data }) => {
      const message = current() ? readServerMessage(data) : undefined;
      if (message) this.#hear(message);
    };
    socket.onclose = ({ code }) => {
      if (!current()) return;
      this.close();
      this.#listener.lost({ closeCode: code, ...(!opened && { message: UNOPENED }) });
    };
    // A close follows. Outside browsers an error that nobody hears may end the whole program (ws does so).
    socket.onerror = () => {};
  }

  #hear(message: ServerMessage): void {
    // Its patience is over and ours, by its settings or by the slow timers of a page in the background, is not.
    if (message.type === 'error' && message.code === 'start_timeout' && !this.#hasStart) return this.#drop();
    this.#listener.message(message);
  }

  get #hasStart(): boolean {
    return this.#presented || this.#pending !== undefined;
  }

  /** In a frame, unless it went with the upgrade request or has to be fetched first. */
  #sayStart(): void {
    if (this.#pending) {
      this.send(this.#pending);
      this.#presented = true;
      this.#pending = undefined;
    }
    if (this.#presented) this.#deadlines.begin('offer');
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#deadlines.end('socket');
    socket?.close();
  }
}

/**
 * The server's message, or undefined for what a newer server may say and this client does not know. The server is the
 * one that the page chose, so only what the client relies on is looked at.
 */
export function readServerMessage(data: unknown): ServerMessage | undefined {
  if (typeof data !== 'string') return undefined;
  const message = parse(data);
  return message && isKnown(message) ? (message as unknown as ServerMessage) : undefined;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isKnown(message: Record<string, unknown>): boolean {
  switch (message.type) {
    case 'offer':
      return typeof message.sdp === 'string' && typeof message.offer_id === 'string' && isObject(message.session);
    case 'resumed':
      return isObject(message.session);
    case 'tracks':
      return Array.isArray(message.tracks) && message.tracks.every(isObject);
    case 'expiring':
      return typeof message.expires_in_ms === 'number';
    case 'ended':
      return typeof message.reason === 'string';
    case 'error':
      return typeof message.code === 'string' && isServerCode(message.code);
    case 'live':
      return true;
    default:
      return false;
  }
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

import { SUBPROTOCOL } from '../protocol/codes.ts';
import type { ClientMessage, ServerMessage, StartMessage } from '../protocol/messages.ts';
import { isServerCode } from './errors.ts';
import { earlyStart } from './start.ts';

/** The server wants a start 5 s after the upgrade; a token that takes longer gets a socket of its own. */
const TOKEN_PATIENCE_MS = 4000;

export interface SignalingListener {
  open(): void;
  message(message: ServerMessage): void;
  /** The socket is gone and this was not asked for. `started` tells whether the server may have seen the start. */
  lost(closeCode: number, started: boolean): void;
}

/** The WebSocket of one call, and the quickest way to get its start to the server. */
export class Signaling {
  readonly #url: string;
  readonly #listener: SignalingListener;
  #socket: WebSocket | undefined;
  #started = false;
  #closed = false;

  constructor(url: string | URL, listener: SignalingListener) {
    this.#url = webSocketUrl(url);
    this.#listener = listener;
  }

  /** Starts with a token that is there: the start travels in the upgrade request where it fits. */
  start(start: StartMessage): void {
    const protocols = earlyStart(start);
    this.#started = true;
    this.#open(protocols ?? [SUBPROTOCOL], protocols ? undefined : start);
  }

  /** Opens the socket while the token is still being fetched, which costs no more round trips than an early start. */
  async startWith(start: Promise<StartMessage>): Promise<void> {
    this.#open([SUBPROTOCOL]);
    const patience = setTimeout(() => this.#drop(), TOKEN_PATIENCE_MS);
    try {
      const message = await start;
      if (this.#closed) return;
      if (!this.#socket) return this.start(message);
      this.#started = true;
      if (this.#socket.readyState === WebSocket.OPEN) this.send(message);
      else this.#socket.addEventListener('open', () => this.send(message), { once: true });
    } finally {
      clearTimeout(patience);
    }
  }

  get started(): boolean {
    return this.#started && this.#socket?.readyState === WebSocket.OPEN;
  }

  send(message: ClientMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #open(protocols: string[], first?: StartMessage): void {
    const socket = new WebSocket(this.#url, protocols);
    this.#socket = socket;
    const current = () => this.#socket === socket;
    socket.addEventListener('open', () => {
      if (!current()) return;
      if (first) this.send(first);
      this.#listener.open();
    });
    socket.addEventListener('message', ({ data }) => {
      const message = current() ? readServerMessage(data) : undefined;
      if (message) this.#listener.message(message);
    });
    socket.addEventListener('close', ({ code }) => {
      if (!current()) return;
      this.close();
      this.#listener.lost(code, this.#started);
    });
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}

/** `ws_url` of the mint, or any http(s) or relative form of it. */
function webSocketUrl(url: string | URL): string {
  const absolute = new URL(url, globalThis.location?.href);
  absolute.protocol = absolute.protocol.replace(/^http/, 'ws');
  return absolute.href;
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

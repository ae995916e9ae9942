import { Compile } from 'typebox/compile';
import { WebSocket } from 'ws';
import { CONNECT_PATH, EARLY_START_PREFIX, SUBPROTOCOL } from '../protocol/codes.ts';
import { type ClientMessage, SERVER_MESSAGES, type ServerMessage, type StartMessage } from '../protocol/messages.ts';

export type OfferMessage = Extract<ServerMessage, { type: 'offer' }>;

export interface SocketListener {
  opened?(): void;
  said(message: ServerMessage): void;
  /** It is closed, or never opened: `unreachable`, `http_<status>`, `socket_closed_<code>`, or `bad_server_message`. */
  closed(code: string): void;
}

const validators = new Map(Object.entries(SERVER_MESSAGES).map(([type, schema]) => [type, Compile(schema)]));

/** No offer is larger; a faulty server must not fill the tester's memory. */
const MAX_PAYLOAD_BYTES = 1024 * 1024;

const OPTIONS = { perMessageDeflate: false, maxPayload: MAX_PAYLOAD_BYTES, closeTimeout: 2000 };

/** One WebSocket of one simulated client. */
export class CallSocket {
  /** Who hears what comes in; undefined for nobody any more. */
  listener: SocketListener | undefined;
  readonly #ws: WebSocket;
  #trouble: string | undefined;

  /** Opens it at `url` (http or https); a `start` travels in the upgrade request, which saves a round trip. */
  constructor(url: string, listener: SocketListener, start?: StartMessage) {
    this.listener = listener;
    const protocols = start === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, earlyStart(start)];
    this.#ws = new WebSocket(url.replace(/^http/, 'ws') + CONNECT_PATH, protocols, OPTIONS);
    this.#ws.on('open', () => this.listener?.opened?.());
    this.#ws.on('message', (data) => this.#hear(String(data)));
    this.#ws.on('unexpected-response', (_, { statusCode }) => {
      this.#trouble = `http_${statusCode}`;
      // Who listens has to end the handshake, and hears of the close only if the socket does it.
      this.#ws.terminate();
    });
    // Every error is followed by the close.
    this.#ws.on('error', () => {
      if (this.#ws.readyState !== WebSocket.OPEN) this.#trouble ??= 'unreachable';
    });
    this.#ws.on('close', (code) => this.listener?.closed(this.#trouble ?? `socket_closed_${code}`));
  }

  /** Says nothing on a socket that is not open: its close is, or will be, heard. */
  send(message: ClientMessage): void {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(message));
  }

  /** Closes it properly; nothing more is heard. */
  close(): void {
    this.listener = undefined;
    this.#ws.close();
  }

  /** Breaks the connection, as a network does; nothing more is heard. */
  kill(): void {
    this.listener = undefined;
    this.#ws.terminate();
  }

  #hear(text: string): void {
    const message = parseServerMessage(text);
    if (message) return this.listener?.said(message);
    this.#trouble = 'bad_server_message';
    this.#ws.terminate();
  }
}

const earlyStart = (start: StartMessage): string =>
  EARLY_START_PREFIX + Buffer.from(JSON.stringify(start)).toString('base64url');

function parseServerMessage(text: string): ServerMessage | undefined {
  try {
    const message = JSON.parse(text) as ServerMessage;
    return validators.get(message.type)?.Check(message) ? message : undefined;
  } catch {
    return undefined;
  }
}

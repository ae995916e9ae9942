import type { IncomingMessage } from 'node:http';
import { Compile } from 'typebox/compile';
import { WebSocket } from 'ws';
import { CONNECT_PATH, EARLY_START_PREFIX, SUBPROTOCOL } from '../protocol/codes.ts';
import { type ClientMessage, type FirstMessage, SERVER_MESSAGES, type ServerMessage } from '../protocol/messages.ts';
import { codeOf, membersOf, problemCode } from './foreign.ts';

export type OfferMessage = Extract<ServerMessage, { type: 'offer' }>;

export interface SocketListener {
  opened?(): void;
  said(message: ServerMessage): void;
  /**
   * It is closed, or never opened: `unreachable` with what the system said, the code of a refused upgrade or else
   * `http_<status>`, `socket_closed_<code>`, or `bad_server_message`.
   */
  closed(code: string, cause?: string): void;
}

const validators = new Map(Object.entries(SERVER_MESSAGES).map(([type, schema]) => [type, Compile(schema)]));

/** No offer is larger; a faulty server must not fill the tester's memory. */
const MAX_PAYLOAD_BYTES = 1024 * 1024;

/** The answer of who refuses an upgrade is read so far, and waited for so long. */
const MAX_REFUSAL_CHARACTERS = 64 * 1024;
const REFUSAL_WITHIN_MS = 1000;

const OPTIONS = { perMessageDeflate: false, maxPayload: MAX_PAYLOAD_BYTES, closeTimeout: 2000 };

/** One WebSocket of one simulated client. */
export class CallSocket {
  /** Who hears what comes in; undefined for nobody any more. */
  listener: SocketListener | undefined;
  readonly #ws: WebSocket;
  #trouble: string | undefined;
  #cause: string | undefined;

  /** Opens it at `url` (http or https); the first message may travel in the upgrade request, which saves a round trip. */
  constructor(url: string, listener: SocketListener, first?: FirstMessage) {
    this.listener = listener;
    const protocols = first === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, early(first)];
    this.#ws = new WebSocket(url.replace(/^http/, 'ws') + CONNECT_PATH, protocols, OPTIONS);
    this.#ws.on('open', () => this.listener?.opened?.());
    this.#ws.on('message', (data) => this.#hear(String(data)));
    this.#ws.on('unexpected-response', (_, response) => void this.#refused(response));
    // Every error is followed by the close.
    this.#ws.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (this.#ws.readyState === WebSocket.OPEN || this.#trouble !== undefined) return;
      this.#trouble = 'unreachable';
      this.#cause = code;
    });
    this.#ws.on('close', (code) => this.listener?.closed(this.#trouble ?? `socket_closed_${code}`, this.#cause));
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

  /** Who listens to the refusal has to end the handshake, and hears of the close only if the socket does it. */
  async #refused(response: IncomingMessage): Promise<void> {
    this.#trouble = problemCode(response.statusCode ?? 0, membersOf(await bodyOf(response)));
    this.#ws.terminate();
  }

  #hear(text: string): void {
    const message = parseServerMessage(text);
    if (message) return this.listener?.said(message);
    this.#trouble = 'bad_server_message';
    this.#ws.terminate();
  }
}

const early = (start: FirstMessage): string =>
  EARLY_START_PREFIX + Buffer.from(JSON.stringify(start)).toString('base64url');

/** Codes and reasons of a later release, or of a server that is no callgate, are heard too: they are what is to be counted. */
function parseServerMessage(text: string): ServerMessage | undefined {
  const members = membersOf(text);
  const message = members as ServerMessage;
  if (validators.get(message.type)?.Check(message)) return message;
  const { type, code, reason } = members;
  const told = codeOf(type === 'error' ? code : type === 'ended' ? reason : undefined);
  return told === undefined ? undefined : ({ ...members, code: told, reason: told } as unknown as ServerMessage);
}

/** What came of it in time. */
async function bodyOf(response: IncomingMessage): Promise<string> {
  const timer = setTimeout(() => response.destroy(), REFUSAL_WITHIN_MS);
  let text = '';
  try {
    for await (const piece of response.setEncoding('utf8') as AsyncIterable<string>) {
      text += piece;
      if (text.length > MAX_REFUSAL_CHARACTERS) break;
    }
  } catch {
    // A refusal that was cut off is one all the same.
  } finally {
    clearTimeout(timer);
  }
  return text;
}

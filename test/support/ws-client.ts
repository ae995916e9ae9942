import { WebSocket } from 'ws';
import { EARLY_START_PREFIX, SUBPROTOCOL } from '../../src/protocol/codes.ts';
import type {
  ClientMessage,
  FirstMessage,
  ResumeMessage,
  ServerMessage,
  StartMessage,
} from '../../src/protocol/messages.ts';

type TypeOf = ServerMessage['type'];
type MessageOf<T extends TypeOf> = Extract<ServerMessage, { type: T }>;

export interface SocketOptions {
  /** `callgate.v1` alone by default. */
  protocols?: readonly string[];
  headers?: Readonly<Record<string, string>>;
  origin?: string;
  /** How long the upgrade and every wait may take. */
  timeoutMs?: number;
}

export interface Closing {
  code: number;
  reason: string;
}

/** The server answered the upgrade request with something else than 101. */
export class UpgradeRefused extends Error {
  override readonly name = 'UpgradeRefused';
  readonly status: number;

  constructor(status: number) {
    super(`the upgrade was refused with ${status}`);
    this.status = status;
  }
}

/** The subprotocol that carries the first message inside the upgrade request. */
export const earlyStart = (message: FirstMessage): string =>
  `${EARLY_START_PREFIX}${Buffer.from(JSON.stringify(message)).toString('base64url')}`;

/** Opens a socket and starts a call with a frame, or with `early` inside the upgrade request. */
export const startCall = (
  url: string,
  start: Omit<StartMessage, 'type'>,
  options?: SocketOptions & { early?: boolean },
): Promise<TestSocket> => present(url, { type: 'start', ...start }, options);

/** Opens a socket and asks for a session back, in the same two ways. */
export const resumeCall = (
  url: string,
  resume: Omit<ResumeMessage, 'type'>,
  options?: SocketOptions & { early?: boolean },
): Promise<TestSocket> => present(url, { type: 'resume', ...resume }, options);

const present = async (
  url: string,
  message: FirstMessage,
  { early = false, ...options }: SocketOptions & { early?: boolean } = {},
): Promise<TestSocket> => {
  if (early) return TestSocket.open(url, { ...options, protocols: [SUBPROTOCOL, earlyStart(message)] });
  const socket = await TestSocket.open(url, options);
  socket.send(message);
  return socket;
};

/** A client of the WebSocket protocol that hides nothing: every message in order, and how it was closed. */
export class TestSocket {
  /** Everything that has arrived, read or not. */
  readonly messages: ServerMessage[] = [];
  /** Resolves when the socket is closed, by whom ever. */
  readonly closed: Promise<Closing>;
  readonly #socket: WebSocket;
  readonly #timeoutMs: number;
  readonly #waiting = new Set<() => void>();
  #read = 0;
  #closing: Closing | undefined;

  /** Rejects with `UpgradeRefused` when the server answers with another status. */
  static async open(url: string, options: SocketOptions = {}): Promise<TestSocket> {
    const { protocols = [SUBPROTOCOL], headers, origin, timeoutMs = 10_000 } = options;
    const socket = new WebSocket(url, [...protocols], {
      handshakeTimeout: timeoutMs,
      perMessageDeflate: false,
      ...(headers && { headers }),
      ...(origin !== undefined && { origin }),
    });
    const client = new TestSocket(socket, timeoutMs);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.on('error', reject);
      socket.once('unexpected-response', (request, response) => {
        request.destroy();
        reject(new UpgradeRefused(response.statusCode ?? 0));
      });
    });
    return client;
  }

  private constructor(socket: WebSocket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.on('message', (data) => {
      this.messages.push(JSON.parse(data.toString()) as ServerMessage);
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        this.#closing = { code, reason: reason.toString() };
        resolve(this.#closing);
        this.#wake();
      });
    });
  }

  /** The subprotocol that the server has selected. */
  get protocol(): string {
    return this.#socket.protocol;
  }

  send(message: ClientMessage): void {
    this.sendRaw(JSON.stringify(message));
  }

  /** Sends a frame as it is: text for a string, binary for a Buffer. */
  sendRaw(data: string | Buffer): void {
    this.#socket.send(data);
  }

  /** The next message that was not read yet; rejects when the socket closes before, or nothing comes in time. */
  async next(): Promise<ServerMessage> {
    await this.#until(() => this.#read < this.messages.length, 'a message');
    return this.messages[this.#read++]!;
  }

  /** The next message, which must be of this type. */
  async expect<T extends TypeOf>(type: T): Promise<MessageOf<T>> {
    const message = await this.next();
    if (!isOf(message, type)) throw new Error(`expected ${type}, got ${JSON.stringify(message)}`);
    return message;
  }

  /** Reads on to the next message of this type. */
  async skipTo<T extends TypeOf>(type: T): Promise<MessageOf<T>> {
    for (;;) {
      const message = await this.next();
      if (isOf(message, type)) return message;
    }
  }

  /** Waits until the server has closed the socket, in bounded time. */
  async closing(): Promise<Closing> {
    await this.#until(() => this.#closing !== undefined, 'the close');
    return this.closed;
  }

  /** Closes with a close handshake, as a page that is left does. */
  async close(code = 1000): Promise<void> {
    this.#socket.close(code);
    await this.closing().finally(() => this.#socket.terminate());
  }

  /** Closes with a close handshake that names no code (1005 at the other end). */
  async closeWithoutCode(): Promise<void> {
    this.#socket.close();
    await this.closing().finally(() => this.#socket.terminate());
  }

  /** Cuts the connection without a word, as a lost network does. */
  async cut(): Promise<void> {
    this.#socket.terminate();
    await this.closed;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #until(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        if (error) reject(error);
        else resolve();
      };
      const check = () => {
        if (condition()) settle();
        else if (this.#closing) settle(this.#missed(what, `closed with ${this.#closing.code}`));
      };
      const timer = setTimeout(() => settle(this.#missed(what, `${this.#timeoutMs} ms passed`)), this.#timeoutMs);
      this.#waiting.add(check);
      check();
    });
  }

  #missed(what: string, why: string): Error {
    const types = this.messages.map((message) => message.type).join(', ');
    return new Error(`${why} while waiting for ${what}; so far came: ${types || 'nothing'}`);
  }
}

const isOf = <T extends TypeOf>(message: ServerMessage, type: T): message is MessageOf<T> => message.type === type;

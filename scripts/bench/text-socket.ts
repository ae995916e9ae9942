import { connect, type Socket } from 'node:net';

/** RFC 6455 section 1.3: any 16 bytes will do, and the answer to these is known. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const EMPTY = Buffer.alloc(0);
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** The upgrade request for these subprotocols, so that it can be written before the clock runs. */
export const upgradeRequest = (path: string, protocols: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Protocol: ${protocols}\r\n\r\n`;

/**
 * A WebSocket of text frames to a server on this machine. It does no more than the protocol demands (RFC 6455), because
 * the client shares the cores with the server that is measured.
 */
export class TextSocket {
  /** Resolves when the connection is gone, whoever closed it. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #onText: (text: string) => void;
  #unread: Buffer = EMPTY;
  #upgraded = false;

  constructor(port: number, request: string, onText: (text: string) => void) {
    this.#onText = onText;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.write(request, 'latin1');
    this.#socket.on('data', (chunk) => this.#read(chunk));
    this.closed = new Promise((resolve, reject) => {
      this.#socket.on('error', reject);
      this.#socket.on('close', () => resolve());
    });
    // Whoever waits for something else hears of it there.
    this.closed.catch(() => undefined);
  }

  /** ASCII only. */
  send(text: string): void {
    this.#socket.write(frame(TEXT, Buffer.from(text, 'latin1')));
  }

  /** Begins the closing handshake. */
  close(): void {
    this.#socket.write(frame(CLOSE, EMPTY));
  }

  /** Gives up without a word. */
  destroy(error?: Error): void {
    this.#socket.destroy(error);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#unread.length > 0 ? Buffer.concat([this.#unread, chunk]) : chunk;
    let at = this.#upgraded ? 0 : this.#readHead(bytes);
    if (!this.#upgraded) {
      this.#unread = bytes;
      return;
    }
    for (let end = frameEnd(bytes, at); end !== undefined; end = frameEnd(bytes, at)) {
      const payload = bytes.subarray(payloadStart(bytes, at), end);
      this.#take(bytes[at]! & 0x0f, payload);
      at = end;
    }
    this.#unread = at < bytes.length ? bytes.subarray(at) : EMPTY;
  }

  /** Where the frames begin; 0 while the head of the response is not whole. */
  #readHead(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n\r\n');
    if (end === -1) return 0;
    const status = bytes.toString('latin1', 0, bytes.indexOf('\r\n'));
    if (!status.startsWith('HTTP/1.1 101')) this.destroy(new Error(`the upgrade was answered with ${status}`));
    this.#upgraded = true;
    return end + 4;
  }

  #take(opcode: number, payload: Buffer): void {
    if (opcode === TEXT) return this.#onText(payload.toString());
    if (opcode === PING) this.#socket.write(frame(PONG, payload));
    // The server closes the connection once it has its own close back (RFC 6455 section 7.1.1).
    if (opcode === CLOSE) this.#socket.end(frame(CLOSE, payload));
  }
}

/** Servers send unmasked frames (RFC 6455 section 5.1), and none of theirs here needs a length of 64 bits. */
const payloadStart = (bytes: Buffer, at: number): number => at + ((bytes[at + 1]! & 0x7f) === 126 ? 4 : 2);

const frameEnd = (bytes: Buffer, at: number): number | undefined => {
  if (bytes.length < at + 2) return undefined;
  const short = bytes[at + 1]! & 0x7f;
  if (short < 126) return bytes.length >= at + 2 + short ? at + 2 + short : undefined;
  if (bytes.length < at + 4) return undefined;
  const end = at + 4 + bytes.readUInt16BE(at + 2);
  return bytes.length >= end ? end : undefined;
};

function frame(opcode: number, payload: Buffer): Buffer {
  const isLong = payload.length > 125;
  const start = isLong ? 8 : 6;
  const bytes = Buffer.allocUnsafe(start + payload.length);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (isLong ? 126 : payload.length);
  if (isLong) bytes.writeUInt16BE(payload.length, 2);
  MASK.copy(bytes, start - 4);
  for (let i = 0; i < payload.length; i += 1) bytes[start + i] = payload[i]! ^ MASK[i & 3]!;
  return bytes;
}

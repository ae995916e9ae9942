import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A TCP connection on which a test writes what no WebSocket library would. */
export class RawClient {
  /** Resolves when the connection is closed, by whom ever. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #received = Buffer.alloc(0);

  static async connect(url: string): Promise<RawClient> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Connects and upgrades to a WebSocket. */
  static async upgrade(url: string): Promise<RawClient> {
    const client = await RawClient.connect(url);
    client.write(
      'GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
        'Sec-WebSocket-Protocol: callgate.v1\r\n\r\n',
    );
    while (!client.text.includes('\r\n\r\n')) await once(client.#socket, 'data');
    return client;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data]);
    });
    // A reset is one of the ways in which the server may close.
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  /** Everything that came, headers and frames alike. */
  get text(): string {
    return this.#received.toString('latin1');
  }

  get open(): boolean {
    return !this.#socket.destroyed;
  }

  write(data: string | Buffer): boolean {
    return this.#socket.write(data);
  }

  /** Writes the same over and over until the connection is closed; resolves to the bytes that the other side took. */
  async flood(data: Buffer): Promise<number> {
    const drained = () => new Promise<void>((resolve) => this.#socket.once('drain', resolve));
    while (this.open) if (!this.#socket.write(data)) await Promise.race([drained(), this.closed]);
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  /** Stops reading, so that what the server sends piles up. */
  pause(): void {
    this.#socket.pause();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameOptions {
  opcode?: number;
  fin?: boolean;
  mask?: boolean;
  rsv?: number;
}

/** A frame as a client sends it (RFC 6455 section 5.2), wrong in the ways that are asked for. */
export const frame = (
  payload: string | Buffer,
  { opcode = OPCODES.text, fin = true, mask = true, rsv = 0 }: FrameOptions = {},
): Buffer => {
  const data = Buffer.from(payload);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const length = lengthOf(data.length, mask);
  if (!mask) return Buffer.concat([Buffer.from([first]), length, data]);
  const key = randomBytes(4);
  const masked = data.map((byte, i) => byte ^ key[i % 4]!);
  return Buffer.concat([Buffer.from([first]), length, key, masked]);
};

const lengthOf = (length: number, mask: boolean): Buffer => {
  const bit = mask ? 0x80 : 0;
  if (length < 126) return Buffer.from([bit | length]);
  const header = Buffer.alloc(length < 65_536 ? 3 : 9);
  header[0] = bit | (length < 65_536 ? 126 : 127);
  if (length < 65_536) header.writeUInt16BE(length, 1);
  else header.writeBigUInt64BE(BigInt(length), 1);
  return header;
};

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { SUBPROTOCOL } from '../../src/protocol/codes.ts';
import type { Target } from './load-cli.ts';
import type { TestServer } from './server.ts';

const CANDIDATE = /^(a=candidate:\S+ \d udp \d+ 127\.0\.0\.1) (\d+)/m;
const OTHER_CANDIDATES = /^a=candidate:(?!\S+ \d udp \d+ 127\.0\.0\.1 ).*\r\n/gm;

/** The way to a real server on which one of so many RTP packets that the server sends is lost. */
export class LossyPath implements Target {
  readonly apiKey: string;
  dropped = 0;
  /** From now on it loses every RTP packet. */
  losesAll = false;
  readonly #to: string;
  readonly #oneOf: number;
  readonly #http: Server;
  readonly #wss = new WebSocketServer({ noServer: true, handleProtocols: () => SUBPROTOCOL });
  readonly #udp: Socket;
  /** A socket towards the server for each port that a client sends from. */
  readonly #upstream = new Map<number, Socket>();
  #serverPort = 0;
  #rtp = 0;

  static async start(server: TestServer, oneOf: number): Promise<LossyPath> {
    const path = new LossyPath(server, oneOf);
    path.#udp.bind(0, '127.0.0.1');
    path.#http.listen(0, '127.0.0.1');
    await Promise.all([once(path.#udp, 'listening'), once(path.#http, 'listening')]);
    return path;
  }

  private constructor(server: TestServer, oneOf: number) {
    this.apiKey = server.apiKey;
    this.#to = server.running.url;
    this.#oneOf = oneOf;
    this.#udp = createSocket('udp4', (packet, from) => this.#toServer(packet, from));
    this.#http = createServer((request, response) => this.#api(request, response));
    this.#http.on('upgrade', (request, socket, head) => {
      this.#wss.handleUpgrade(request, socket, head, (client) => this.#signaling(client, request));
    });
  }

  get urls(): readonly string[] {
    return [`http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`];
  }

  async stop(): Promise<void> {
    for (const client of this.#wss.clients) client.terminate();
    for (const socket of [this.#udp, ...this.#upstream.values()]) socket.close();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #api(request: IncomingMessage, response: ServerResponse): void {
    const { method, url = '', headers } = request;
    const onward = send(this.#to + url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  }

  /** Passes the messages on; the offers name this path in place of the server. */
  #signaling(client: WebSocket, { url = '', headers }: IncomingMessage): void {
    const protocols = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    const server = new WebSocket(this.#to.replace('http', 'ws') + url, protocols);
    server.on('message', (data) => client.send(this.#detour(String(data))));
    server.on('close', () => client.close());
    client.on('message', (data) => server.send(String(data)));
    client.on('close', () => server.close());
  }

  #detour(text: string): string {
    const message = JSON.parse(text) as { type: string; sdp?: string };
    if (message.sdp === undefined) return text;
    this.#serverPort = Number(CANDIDATE.exec(message.sdp)?.[2]);
    const sdp = message.sdp
      .replace(OTHER_CANDIDATES, '')
      .replace(new RegExp(CANDIDATE, 'gm'), `$1 ${this.#udp.address().port}`);
    return JSON.stringify({ ...message, sdp });
  }

  #toServer(packet: Buffer, { port }: RemoteInfo): void {
    let upstream = this.#upstream.get(port);
    if (upstream === undefined) {
      upstream = createSocket('udp4', (answer) => {
        if (!this.#loses(answer)) this.#udp.send(answer, port, '127.0.0.1');
      });
      this.#upstream.set(port, upstream);
    }
    upstream.send(packet, this.#serverPort, '127.0.0.1');
  }

  /** RFC 7983 section 7 tells RTP from the others, RFC 5761 section 4 from RTCP. */
  #loses(packet: Buffer): boolean {
    const isRtp = packet[0]! >= 128 && packet[0]! <= 191 && !(packet[1]! >= 192 && packet[1]! <= 223);
    if (!isRtp || (++this.#rtp % this.#oneOf !== 0 && !this.losesAll)) return false;
    this.dropped += 1;
    return true;
  }
}

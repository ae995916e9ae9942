import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Sessions } from '../../session/client.ts';
import { randomText } from '../../shared/random.ts';
import { type Hello, type Load, MAX_FRAME_BYTES, readHello, readProof, VERSIONS } from './frames.ts';
import { isProof, type Opening, proofOf } from './proof.ts';
import { ServedLink } from './served.ts';
import { exportedOf, LINK_PATH, type LinkLog, type LinkTls } from './terms.ts';
import { Wire } from './wire.ts';

/** Who has not proved the secret by then is cut off, and so are those beyond so many. */
const PROVE_MS = 5000;
const MAX_UNPROVED = 100;
/** How often the gateways hear how busy this node is. */
const LOAD_MS = 1000;

export interface ListenerOptions {
  /** Id of this node. */
  id: string;
  secret: string;
  host: string;
  /** 0 takes any free one. */
  port: number;
  tls?: LinkTls | undefined;
  sessions: Sessions;
  load(): Omit<Load, 'type'>;
  log: LinkLog;
}

/** Where gateways link to this node. Owns its server and every link that was taken. */
export class LinkListener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #wss = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_FRAME_BYTES });
  readonly #unproved = new Set<WebSocket>();
  readonly #links = new Map<Wire, ServedLink>();
  #timer: NodeJS.Timeout | undefined;

  /** Rejects when it cannot listen there. */
  static async open(options: ListenerOptions): Promise<LinkListener> {
    const listener = new LinkListener(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    listener.#server.once('error', reject);
    listener.#server.listen(options.port, options.host, resolve);
    await promise;
    listener.#timer = setInterval(() => listener.#tellLoad(), LOAD_MS).unref();
    return listener;
  }

  private constructor(options: ListenerOptions) {
    this.#options = options;
    const { tls } = options;
    // Gateways show certificates as well: both ends are known twice over.
    this.#server = tls
      ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' })
      : createServer();
    this.#server.on('request', (_, response) => response.writeHead(404).end());
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => undefined);
      if (request.url !== LINK_PATH || this.#unproved.size >= MAX_UNPROVED) return void socket.destroy();
      this.#wss.handleUpgrade(request, socket, head, (ws) => this.#meet(ws, socket));
    });
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Links that are up. */
  get size(): number {
    return this.#links.size;
  }

  /** Takes no link any more and ends those that are there; what they carry is lost. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const ws of this.#unproved) ws.terminate();
    for (const wire of this.#links.keys()) wire.close();
    const late = setTimeout(() => {
      for (const wire of this.#links.keys()) wire.kill();
    }, 500);
    await closed;
    clearTimeout(late);
  }

  #meet(ws: WebSocket, socket: Duplex): void {
    this.#unproved.add(ws);
    const late = setTimeout(() => ws.terminate(), PROVE_MS);
    const exported = socket instanceof TLSSocket ? exportedOf(socket) : '';
    let opening: Opening | undefined;
    const met = (): void => {
      clearTimeout(late);
      this.#unproved.delete(ws);
    };
    ws.on('error', () => undefined);
    ws.once('close', met);
    ws.on('message', (data) => {
      const text = String(data);
      const hello = opening === undefined ? readHello(text) : undefined;
      if (hello) opening = this.#welcome(ws, hello, exported);
      else if (opening && this.#proves(text, opening)) {
        met();
        ws.removeAllListeners();
        return this.#link(ws, opening.gateway.id);
      }
      if (!opening || !hello) ws.terminate();
    });
  }

  /** Undefined when the two share no version. */
  #welcome(ws: WebSocket, { id: gateway, nonce, versions }: Hello, exported: string): Opening | undefined {
    const { id, secret, log } = this.#options;
    const chosen = VERSIONS.find((version) => versions.includes(version));
    if (chosen === undefined) {
      log.warn(
        { gateway, versions },
        'a gateway speaks no version of the link protocol that this node knows: upgrade one of them',
      );
      return undefined;
    }
    const node = { id, nonce: randomText(32, 'base64url') };
    const opening = { gateway: { id: gateway, nonce }, node, offered: versions, chosen, exported };
    ws.send(JSON.stringify({ type: 'welcome', ...node, version: chosen, proof: proofOf(secret, 'node', opening) }));
    return opening;
  }

  #proves(text: string, opening: Opening): boolean {
    const shown = readProof(text)?.proof;
    const proves = shown !== undefined && isProof(shown, this.#options.secret, 'gateway', opening);
    if (!proves) {
      this.#options.log.warn({ gateway: opening.gateway.id }, 'a gateway does not know the secret of the cluster');
    }
    return proves;
  }

  #link(ws: WebSocket, gateway: string): void {
    const { sessions, log } = this.#options;
    const wire: Wire = new Wire(ws, {
      frame: (text) => link.frame(text),
      closed: () => {
        this.#links.delete(wire);
        link.closed();
      },
    });
    const defect = (err: unknown) => log.error({ err, gateway }, 'a defect refused a client of a link');
    const link = new ServedLink(wire, sessions, defect);
    this.#links.set(wire, link);
    wire.send(this.#load());
  }

  #load(): Load {
    return { type: 'load', ...this.#options.load() };
  }

  #tellLoad(): void {
    const load = this.#load();
    for (const wire of this.#links.keys()) wire.send(load);
  }
}

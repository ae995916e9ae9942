import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { CallgateError } from '../../errors.ts';
import type { ClientSession, OpenRequest, ResumeRequest, SessionClient, Sessions } from '../../session/client.ts';
import { Outage } from '../../shared/outage.ts';
import { randomText } from '../../shared/random.ts';
import { type GatewayFrame, type Load, MAX_FRAME_BYTES, readNodeFrame, readWelcome, VERSIONS } from './frames.ts';
import { isProof, proofOf } from './proof.ts';
import { RemoteSession } from './remote-session.ts';
import { exportedOf, LINK_PATH, type LinkLog, type LinkTls } from './terms.ts';
import { Wire } from './wire.ts';

/** Opening a link takes no longer. */
const OPEN_MS = 2000;
/** Pauses before a link is dialled again; the first two tell whether anybody is there at all. */
const REDIAL_MS = [0, 400, 1000, 2000];
/** So many dials in a row that were refused, where a link was up before: the process is gone. */
const REFUSALS = 2;

export interface LinkOptions {
  /** Id of this gateway. */
  id: string;
  /** The node at the other end, and its address: `host:port`. */
  node: string;
  address: string;
  secret: string;
  tls?: LinkTls | undefined;
  log: LinkLog;
}

/** A link that broke with an open or a resume under way. */
export class LinkBroken extends CallgateError {
  constructor() {
    super('unavailable', { retryable: false });
  }
}

/** The way from this gateway to one node: dialled until it is closed. Owns its socket, its timer and the streams on it. */
export class Link implements Sessions {
  readonly #options: LinkOptions;
  readonly #outage: Outage;
  /** Clients whose sessions are over there, by stream. */
  readonly #streams = new Map<number, RemoteSession>();
  #lastStream = 0;
  #wire: Wire | undefined;
  #opening: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #load: Load | undefined;
  #dials = 0;
  #wasUp = false;
  #refusals = 0;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    const { node } = options;
    this.#outage = new Outage(
      { warn: (fields, message) => options.log.warn({ node, ...fields }, message) },
      'the link to a node is up again',
    );
    this.#dial();
  }

  get address(): string {
    return this.#options.address;
  }

  /** What the node last said of itself; undefined while the link is not up. */
  get load(): Load | undefined {
    return this.#load;
  }

  /** Whether it takes no new calls: it is not up, or much waits to be sent. */
  get busy(): boolean {
    return this.#load === undefined || (this.#wire?.busy ?? true);
  }

  /** Whether nobody listens there any more, where a link was up before. */
  get refused(): boolean {
    return this.#wasUp && this.#refusals >= REFUSALS;
  }

  /** How many clients it carries. */
  get streams(): number {
    return this.#streams.size;
  }

  open(request: OpenRequest, client: SessionClient): Promise<ClientSession | undefined> {
    return this.#ask(client, (stream) => ({ type: 'open', stream, request }));
  }

  resume(request: ResumeRequest, client: SessionClient): Promise<ClientSession> {
    return this.#ask(client, (stream) => ({ type: 'resume', stream, request }));
  }

  /** Ends it for good; the clients that it carries come back with their tickets. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#opening?.terminate();
    this.#wire?.close();
    this.#break();
  }

  #ask(client: SessionClient, frame: (stream: number) => GatewayFrame): Promise<RemoteSession> {
    const wire = this.#wire;
    if (!wire || this.busy) return Promise.reject(new CallgateError('unavailable', { retryable: true }));
    const stream = ++this.#lastStream;
    const session = new RemoteSession(
      stream,
      client,
      (frame) => wire.send(frame),
      () => this.#streams.delete(stream),
    );
    this.#streams.set(stream, session);
    wire.send(frame(stream));
    return session.opened;
  }

  #dial(): void {
    const { address, tls } = this.#options;
    const url = `${tls ? 'wss' : 'ws'}://${address}${LINK_PATH}`;
    const ws = new WebSocket(url, {
      ...tls,
      handshakeTimeout: OPEN_MS,
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
    });
    this.#opening = ws;
    let exported = '';
    const late = setTimeout(() => ws.terminate(), OPEN_MS);
    ws.once('upgrade', ({ socket }: IncomingMessage) => {
      if (socket instanceof TLSSocket) exported = exportedOf(socket);
    });
    ws.once('open', () => this.#introduce(ws, exported, () => clearTimeout(late)));
    ws.on('error', (error: NodeJS.ErrnoException) => {
      this.#refusals = error.code === 'ECONNREFUSED' ? this.#refusals + 1 : 0;
      this.#outage.began({ reason: error.message }, 'a node cannot be reached by a link; trying again');
    });
    ws.once('close', () => {
      clearTimeout(late);
      this.#again();
    });
  }

  #introduce(ws: WebSocket, exported: string, done: () => void): void {
    const { id, node, secret } = this.#options;
    const nonce = randomText(32, 'base64url');
    ws.send(JSON.stringify({ type: 'hello', id, nonce, versions: VERSIONS }));
    ws.once('message', (data) => {
      const welcome = readWelcome(String(data));
      if (welcome === undefined || welcome.id !== node) return ws.terminate();
      const { version: chosen, nonce: theirs, proof } = welcome;
      const opening = {
        gateway: { id, nonce },
        node: { id: node, nonce: theirs },
        offered: VERSIONS,
        chosen,
        exported,
      };
      if (!VERSIONS.includes(chosen) || !isProof(proof, secret, 'node', opening)) {
        this.#outage.began({}, 'a node does not know the secret of the cluster; trying again');
        return ws.terminate();
      }
      done();
      ws.send(JSON.stringify({ type: 'proof', proof: proofOf(secret, 'gateway', opening) }));
      const wire = new Wire(ws, { frame: (text) => this.#frame(text), closed: () => this.#break() });
      this.#wire = wire;
    });
  }

  /** The link is up once the node has said how busy it is. */
  #frame(text: string): void {
    const frame = readNodeFrame(text);
    if (frame === undefined) return this.#wire?.kill();
    if (frame.type !== 'load') return this.#streams.get(frame.stream)?.answer(frame);
    this.#load = frame;
    this.#wasUp = true;
    this.#refusals = 0;
    this.#dials = 0;
    this.#outage.ended();
  }

  #break(): void {
    this.#wire = undefined;
    this.#load = undefined;
    for (const session of [...this.#streams.values()]) session.broken(new LinkBroken());
  }

  #again(): void {
    if (this.#closed) return;
    const pause = REDIAL_MS[Math.min(this.#dials++, REDIAL_MS.length - 1)] ?? 0;
    this.#timer = setTimeout(() => this.#dial(), pause).unref();
  }
}

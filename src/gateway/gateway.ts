import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Config } from '../config/config.ts';
import { CallgateError, unspent } from '../errors.ts';
import { peerAddress } from '../http/address.ts';
import type { Connections } from '../http/connections.ts';
import { settleTarget } from '../http/host.ts';
import { endWithProblem } from '../http/problems.ts';
import { CONNECT_PATH, SUBPROTOCOL } from '../protocol/codes.ts';
import { maxAnswerBytes } from '../protocol/limits.ts';
import { deadline } from '../shared/deadline.ts';
import { newRequestId } from '../telemetry/request-id.ts';
import { Connection, type ConnectionDeps } from './connection.ts';
import { readEarlyStart } from './early-start.ts';
import { GateSocket } from './gate-socket.ts';
import { AddressLimits } from './limits.ts';
import { Strangers } from './strangers.ts';

/** Beyond this a frame is not even collected; larger than any answer, so that those are refused with their own code. */
const MAX_PAYLOAD_BYTES = Math.max(512 * 1024, maxAnswerBytes(200));

export interface GatewayDeps extends Pick<ConnectionDeps, 'admission' | 'sessions' | 'events' | 'log'> {
  config: Config;
  connections: Connections;
}

const SOCKET_OPTIONS = {
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  // Pings count as messages, and each connection answers those that it may send.
  autoPong: false,
  maxPayload: MAX_PAYLOAD_BYTES,
  maxFragments: 256,
  // What is read of a frame before it is whole costs hundreds of bytes apiece. The longest frame in the smallest TCP
  // segments (536 bytes, RFC 9293 section 3.7.1) is less than this.
  maxBufferedChunks: 1024,
  closeTimeout: 2000,
  WebSocket: GateSocket,
  // Never an early start: echoing it would put the token into a header of the response.
  handleProtocols: (offered: Set<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
} as const;

/** The WebSocket side of the HTTP server. */
export class Gateway {
  readonly #deps: GatewayDeps;
  readonly #connectionDeps: ConnectionDeps;
  readonly #connections = new Set<Connection>();
  readonly #wss = new WebSocketServer(SOCKET_OPTIONS);
  #stopPings = () => {};
  readonly #strangers: Strangers;
  #closing = false;

  constructor(deps: GatewayDeps) {
    this.#deps = deps;
    const { admission, sessions, events, log } = deps;
    const settings = deps.config.admission;
    this.#strangers = new Strangers(settings.max_unstarted_sockets);
    const limits = new AddressLimits(settings);
    this.#connectionDeps = { settings, log, admission, sessions, limits, strangers: this.#strangers, events };
    this.#wss.on('wsClientError', ({ message }, socket) => {
      endWithProblem(socket, new CallgateError('request_malformed', { message }));
    });
    this.#pingInTurn();
  }

  get sockets(): number {
    return this.#connections.size;
  }

  /** Takes an upgrade request of the HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', (error) => this.#deps.log.debug({ err: error }, 'upgrade failed'));
    const error = this.#refusal(request);
    if (error) return endWithProblem(socket, error);
    this.#wss.handleUpgrade(request, socket, head, (ws) => this.#accept(ws, request));
  }

  #refusal(request: IncomingMessage): CallgateError | undefined {
    const message = settleTarget(request);
    if (message !== undefined) return new CallgateError('request_malformed', { message });
    if ((request.url ?? '').split('?', 1)[0] !== CONNECT_PATH) return new CallgateError('not_found');
    if (this.#closing) return new CallgateError('unavailable');
    if (request.headers['sec-websocket-version'] === '13') return undefined;
    return new CallgateError('upgrade_required', { message: 'Sec-WebSocket-Version must be 13' });
  }

  /** Stops taking sockets and closes those that have no session; sessions close their own. Idempotent. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#stopPings();
    for (const connection of this.#connections) connection.refuseUnstarted();
    this.#wss.close();
  }

  #pingInTurn(): void {
    this.#stopPings = deadline(this.#deps.config.admission.ping_interval_ms, () => {
      for (const connection of this.#connections) connection.checkAlive();
      this.#pingInTurn();
    });
  }

  /** The 101 is written by now, so that every refusal is a frame and a close code that a browser can read. */
  #accept(ws: GateSocket, request: IncomingMessage): void {
    ws.watch(request.socket, this.#deps.log);
    const peer = peerAddress(request, this.#deps.config.http.trusted_proxies);
    const admitted = this.#deps.connections.admitSocket(request.socket, peer);
    const countIn = admitted === 'beyond' ? () => this.#deps.connections.countIn(request.socket) : undefined;
    const context = { request_id: newRequestId(), peer: peer.address };
    const client = { peer, origin: request.headers.origin, countIn, stream: request.socket, context };
    const connection = new Connection(ws, client, this.#connectionDeps);
    this.#connections.add(connection);
    ws.once('close', () => {
      this.#connections.delete(connection);
    });
    try {
      // What is wrong with the start itself comes first in the documented order.
      const first = readEarlyStart(request.headers['sec-websocket-protocol']);
      if (admitted === 'refused') throw unspent('rate_limited');
      this.#strangers.add(connection, { presents: first !== undefined });
      if (first) connection.start(first);
    } catch (error) {
      connection.fail(error);
    }
  }
}

import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type WebSocket, WebSocketServer } from 'ws';
import { readEarlyStart } from '../../src/gateway/early-start.ts';
import { CLOSE_CODES, SUBPROTOCOL } from '../../src/protocol/codes.ts';
import type { ClientMessage, ServerMessage, SessionInfo } from '../../src/protocol/messages.ts';
import type { Target } from './load-cli.ts';

export interface Faults {
  /** How many presenters of a token win; 1 as it should be. */
  winners?: number;
  /** How much later than asked a session ends. */
  endsLateMs?: number;
  /** Sessions end by themselves this soon. */
  endsAfterMs?: number;
  /** A hang-up is not heard. */
  deaf?: boolean;
  /** Answers upgrades with 503, and keeps the connection. */
  refusesUpgrades?: boolean;
  /** Ends a session with a reason that callgate does not know. */
  endReason?: string;
  /** Breaks each session's socket once, this soon after its offer. */
  breaksAfterMs?: number;
  /** Refuses the first so many resumes with this code. */
  resumes?: { code: keyof typeof CLOSE_CODES; times: number };
  /** Offers a fresh connection with each resume, as a node that adopted the session. */
  adopts?: boolean;
  /** Closes every kept connection when the next request comes. */
  dropsKept?: boolean;
  /** Leaves who wins a token right after the offer, and tells the losers nothing. */
  abandons?: boolean;
  /** Tells the losers of a token nothing. */
  mutesLosers?: boolean;
  /** Refuses a used token with this code. */
  refusal?: keyof typeof CLOSE_CODES | 'Quota.Exceeded';
  /** Answers mints with this status, and what a body may say, after the first so many. */
  mints?: { status: number; after: number; says?: string };
}

const OFFER = [
  'v=0',
  'o=- 1 1 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'm=audio 7 UDP/TLS/RTP/SAVPF 100',
  'c=IN IP4 127.0.0.1',
  'a=ice-ufrag:server',
  'a=ice-pwd:serverserverserverserver',
  `a=fingerprint:sha-256 ${Array(32).fill('AA').join(':')}`,
  'a=setup:actpass',
  'a=mid:0',
  'a=sendrecv',
  'a=rtcp-mux',
  'a=rtpmap:100 opus/48000/2',
  '',
].join('\r\n');

/** Speaks the protocol well enough for `--media none`, resumes sessions, and has the faults that it is told to have. */
export class FaultyGate implements Target {
  readonly apiKey = 'cgk_faulty_secret';
  readonly #faults: Faults;
  readonly #server: Server;
  readonly #wss = new WebSocketServer({ noServer: true, handleProtocols: () => SUBPROTOCOL });
  readonly #presented = new Map<string, number>();
  /** The socket and the one good ticket of each running session, by its id. */
  readonly #sessions = new Map<string, { ws: WebSocket; ticket: string }>();
  #minted = 0;
  #tickets = 0;
  #refused = 0;
  #node = 'n_aaaaaaaa';

  static async start(faults: Faults = {}): Promise<FaultyGate> {
    const gate = new FaultyGate(faults);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  private constructor(faults: Faults) {
    this.#faults = faults;
    const served = new WeakSet<Socket>();
    this.#server = createServer((request, response) => {
      if (faults.dropsKept && served.has(request.socket)) return request.socket.resetAndDestroy();
      served.add(request.socket);
      request.resume();
      if (request.method === 'POST') this.#mint(response);
      else response.writeHead(204).end();
    });
    this.#server.on('upgrade', (request, socket, head) => {
      if (faults.refusesUpgrades) return refuseUpgrade(socket);
      this.#wss.handleUpgrade(request, socket, head, (ws) => {
        ws.on('message', (data) => this.#hear(ws, JSON.parse(String(data)) as ClientMessage));
        const start = readEarlyStart(request.headers['sec-websocket-protocol']);
        if (start) this.#hear(ws, start);
      });
    });
  }

  get urls(): readonly string[] {
    return [`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`];
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  get presented(): number {
    return this.#presented.size;
  }

  async stop(): Promise<void> {
    for (const ws of this.#wss.clients) ws.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #mint(response: ServerResponse): void {
    const { mints } = this.#faults;
    this.#minted += 1;
    if (mints && this.#minted > mints.after) return void response.writeHead(mints.status).end(mints.says ?? 'no JSON');
    const id = `ct_${this.#minted}`;
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ id, token: `token-${id}` }));
  }

  #hear(ws: WebSocket, message: ClientMessage): void {
    if (message.type === 'start') return this.#start(ws, message.token);
    if (message.type === 'resume') return this.#resume(ws, message.session_id, message.ticket);
    if (message.type === 'hangup' && !this.#faults.deaf) void this.#end(ws);
  }

  #start(ws: WebSocket, token: string): void {
    const presented = (this.#presented.get(token) ?? 0) + 1;
    this.#presented.set(token, presented);
    if (this.#faults.abandons && presented > 1) return;
    const { winners = 1, mutesLosers, refusal = 'token_used' } = this.#faults;
    if (presented > winners) return mutesLosers ? undefined : refuse(ws, refusal);
    const id = `sess_${token}_${presented}`;
    say(ws, { type: 'offer', offer_id: '1', sdp: OFFER, session: this.#hold(id, ws) });
    const { endsAfterMs, abandons, breaksAfterMs } = this.#faults;
    if (abandons) ws.close(1011);
    if (breaksAfterMs !== undefined) setTimeout(() => ws.terminate(), breaksAfterMs);
    if (endsAfterMs !== undefined) setTimeout(() => void this.#end(ws), endsAfterMs);
  }

  #resume(ws: WebSocket, id: string, ticket: string): void {
    const { resumes, adopts } = this.#faults;
    if (resumes && this.#refused++ < resumes.times) return refuse(ws, resumes.code);
    if (this.#sessions.get(id)?.ticket !== ticket) return refuse(ws, 'session_gone');
    if (adopts)
      this.#node = `n_${String(this.#tickets)
        .padStart(8, '0')
        .replace(/\d/g, (digit) => 'bcdefghijk'[Number(digit)]!)}`;
    const session = this.#hold(id, ws);
    say(ws, { type: 'resumed', session });
    if (adopts) say(ws, { type: 'offer', offer_id: `${this.#tickets}`, sdp: OFFER, session, fresh: true });
    say(ws, { type: 'live' });
  }

  async #end(ws: WebSocket): Promise<void> {
    await delay(this.#faults.endsLateMs ?? 0);
    for (const [id, session] of this.#sessions) if (session.ws === ws) this.#sessions.delete(id);
    say(ws, { type: 'ended', reason: (this.#faults.endReason ?? 'completed') as 'completed' });
    ws.close(1000);
  }

  #hold(id: string, ws: WebSocket): SessionInfo {
    this.#tickets += 1;
    const ticket = `${this.#node}.ticket-${this.#tickets}`;
    this.#sessions.set(id, { ws, ticket });
    const expires_at = new Date(Date.now() + 60_000).toISOString();
    return { id, endpoint_id: 'ep_echo', expires_at, expires_in_ms: 60_000, ticket, grace_ms: 30_000 };
  }
}

/** Leaves it to the client to end the connection. */
function refuseUpgrade(socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.end()).resume();
  socket.write('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n');
}

const say = (ws: WebSocket, message: ServerMessage): void => ws.send(JSON.stringify(message));

function refuse(ws: WebSocket, code: keyof typeof CLOSE_CODES | 'Quota.Exceeded'): void {
  const known = code === 'Quota.Exceeded' ? 'unavailable' : code;
  say(ws, { type: 'error', code: code as typeof known, message: 'no', retryable: false });
  ws.close(CLOSE_CODES[known]);
}

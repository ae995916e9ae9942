import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { Config } from '../config/config.ts';
import { CallgateError, isCallCode, unspent } from '../errors.ts';
import type { PeerAddress } from '../http/address.ts';
import type { CallErrorCode } from '../protocol/codes.ts';
import { MAX_FRAME_BYTES, maxAnswerBytes } from '../protocol/limits.ts';
import type {
  ClientMessage,
  FirstMessage,
  ResumeMessage,
  ServerMessage,
  SessionMessage,
  StartMessage,
} from '../protocol/messages.ts';
import type { ClientSession, SessionClient, Sessions } from '../session/client.ts';
import { afterReads } from '../shared/after-reads.ts';
import { deadline } from '../shared/deadline.ts';
import type { RequestContext } from '../telemetry/audit.ts';
import type { About, CallEvents } from '../telemetry/call-events.ts';
import { tokenOfSession } from '../tokens/session-id.ts';
import type { Admission } from './admission.ts';
import { badMessage, parseClientMessage } from './codec.ts';
import type { AddressLimits } from './limits.ts';
import { MessageRate } from './message-rate.ts';
import type { Strangers } from './strangers.ts';

/** Whose socket it is. */
export interface Client {
  peer: PeerAddress;
  origin: string | undefined;
  /** There when its address has as many sockets as it may: counts this one in all the same, because it carries a session. */
  countIn?: (() => void) | undefined;
  /** What the WebSocket is spoken over. */
  stream: Socket;
  /** What every log line and audit event of this socket names. */
  context: RequestContext;
}

/** Shared by all connections. */
export interface ConnectionDeps {
  settings: Config['admission'];
  log: Logger;
  admission: Pick<Admission, 'verify' | 'admit'>;
  sessions: Sessions;
  limits: Pick<AddressLimits, 'recordFailure'>;
  /** It is one of them until its token is verified or it is closed, whichever is first. */
  strangers: Pick<Strangers, 'remove'>;
  events: Pick<CallEvents, 'refused'>;
}

/** A client that closes with one of these goes for good (RFC 6455 section 7.4.1): it hung up, or its page was left. */
const HANG_UPS = new Set([1000, 1001]);

/** How long a socket beyond those that an address may have is listened to, in milliseconds: it may `resume`. */
const BEYOND_MS = 1000;

/** What a stranger may leave waiting while its own start is looked at. */
const MAX_WAITING_MESSAGES = 16;

/** What may come of what nobody reads, as it is on the wire: the candidates of a browser with hundreds of interfaces fit in. */
const SKIPPED_BYTES_PER_SECOND = 256 * 1024;
/** What taking in a frame costs besides, in bytes that cost as much. */
const FRAME_COST_BYTES = 128;

/** Failures that tell something about the presenter; the others tell something about the service. */
const PRESENTER_FAULTS = new Set<string>([
  'token_invalid',
  'token_expired',
  'token_revoked',
  'token_unknown',
  'token_used',
  'endpoint_mismatch',
  'origin_denied',
  'fingerprint_mismatch',
  'session_gone',
] satisfies CallErrorCode[]);

/** One client socket: admission before its session, a mere pipe after. */
export class Connection implements SessionClient {
  readonly #ws: WebSocket;
  readonly #client: Client;
  readonly #deps: ConnectionDeps;
  readonly #rate: MessageRate;
  readonly #skipped = new MessageRate(SKIPPED_BYTES_PER_SECOND);
  readonly #inTime: () => void;
  readonly #waiting: SessionMessage[] = [];
  #phase: 'waiting' | 'starting' | 'started' | 'closed' = 'waiting';
  #session: ClientSession | undefined;
  #presents: FirstMessage['type'] = 'start';
  #presented: About = {};
  /** The client itself closed its socket, for good. */
  #hungUp = false;
  /** Answered the last ping. */
  #alive = true;
  /** Bytes on the wire that were looked at. */
  #read: number;
  #told = false;

  constructor(ws: WebSocket, client: Client, deps: ConnectionDeps) {
    this.#ws = ws;
    this.#client = client;
    this.#deps = deps;
    this.#read = client.stream.bytesRead;
    this.#rate = new MessageRate(deps.settings.messages_per_second);
    this.#inTime = this.#expectFirst();
    ws.on('message', (data, isBinary) => this.receive(data as Buffer, isBinary));
    ws.on('broken', () => this.fail(badMessage('The frame breaks the WebSocket protocol or is too large')));
    // ws by itself would answer every ping of a flood.
    ws.on('ping', (data) => {
      if (this.#hears() && this.#reads()) ws.pong(data);
    });
    ws.on('pong', () => {
      if (this.#alive) this.#hears();
      this.#alive = true;
    });
    // Errors of a socket are followed by its close.
    ws.on('error', (error) => this.#log.debug({ err: error }, 'socket error'));
    ws.on('close', (code) => this.#closed(code));
  }

  get gone(): boolean {
    return this.#phase === 'closed';
  }

  /** Takes what came with the upgrade. */
  start(message: FirstMessage): void {
    this.#first(message);
  }

  /** Takes one data frame. */
  receive(data: Buffer | string, isBinary = false): void {
    if (this.#isDone()) return void this.#skips();
    if (isBinary) return this.fail(badMessage('Frames are text'));
    if (data.length > MAX_FRAME_BYTES && !this.#admitsLarge(data)) return;
    try {
      this.#handle(parseClientMessage(data.toString()));
    } catch (error) {
      this.fail(error);
    }
  }

  send(message: ServerMessage): void {
    if (this.#ws.readyState !== this.#ws.OPEN || !this.#reads()) return;
    // What is said in one go, the end and the close say, leaves in one write.
    const { stream } = this.#client;
    stream.cork();
    process.nextTick(() => stream.uncork());
    this.#ws.send(JSON.stringify(message));
  }

  close(code: number): void {
    this.#ws.close(code);
  }

  /** Tells the one error that ends this socket, and closes it with the error's code. */
  fail(cause: unknown): void {
    if (this.#isDone()) return;
    const error = this.#known(cause);
    if (!this.#session) this.#tellRefused(error);
    this.#leave();
    this.send({ type: 'error', code: error.code as CallErrorCode, message: error.message, retryable: error.retryable });
    this.close(error.closeCode);
  }

  /** At a stop: whoever has no session yet may present the token elsewhere. Sessions tell their own end. */
  refuseUnstarted(): void {
    if (this.#phase !== 'started') this.fail(this.#unlessSpent('unavailable'));
  }

  /** Pings; a socket that has not answered the one before is dead. */
  checkAlive(): void {
    if (!this.#alive) return this.#ws.terminate();
    this.#alive = false;
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }

  /** Counts a message or a control frame in; false when it is not to be heeded. */
  #hears(): boolean {
    if (this.#isDone()) return this.#skips();
    this.#read = this.#client.stream.bytesRead;
    if (this.#rate.allow(performance.now())) return true;
    this.#overrun();
    return false;
  }

  /** Counts what is not looked at in, by its bytes. */
  #skips(): false {
    const { bytesRead } = this.#client.stream;
    const cost = bytesRead - this.#read + FRAME_COST_BYTES;
    if (!this.#skipped.allow(performance.now(), cost)) this.#overrun();
    this.#read = bytesRead;
    return false;
  }

  /**
   * Whoever says too much is told so and not read any more, or what is on its way would be until the close is answered.
   * Without that answer ws cuts the connection at its close timeout.
   */
  #overrun(): void {
    this.fail(this.#unlessSpent('rate_limited'));
    this.#ws.pause();
    // A session that is over has not told its end yet.
    if (this.gone) this.#client.stream.end();
  }

  /** A client that does not read is as good as gone, and must not fill our memory. */
  #reads(): boolean {
    if (this.#ws.bufferedAmount <= this.#deps.settings.max_buffered_bytes) return true;
    this.#ws.terminate();
    return false;
  }

  /** A frame over the usual size can only be the answer to a large offer. Anything else is refused unread. */
  #admitsLarge(data: Buffer | string): boolean {
    const session = this.#session;
    const answering = session !== undefined && /"type"\s*:\s*"answer"/.test(data.toString());
    if (!answering) {
      this.fail(badMessage('The frame is too large'));
      return false;
    }
    if (data.length <= maxAnswerBytes(session.offeredSections)) return true;
    session.refuse('The answer is too large');
    return false;
  }

  #handle(message: ClientMessage): void {
    if (this.#phase === 'waiting') return this.#first(message);
    // Nobody reads them: mediasoup is ICE-lite and learns the client's addresses from its checks (RFC 8445 section 2.5).
    if (message.type === 'candidate') return void this.#skips();
    if (!this.#hears()) return;
    if (message.type === 'start' || message.type === 'resume') throw badMessage('The session has already started');
    if (this.#session) return this.#session.receive(message);
    if (this.#waiting.push(message) > MAX_WAITING_MESSAGES) throw badMessage('Too many messages before the offer');
  }

  #first(message: ClientMessage): void {
    if (message.type !== 'start' && message.type !== 'resume')
      throw badMessage('The first message is a start or a resume');
    if (this.#client.countIn && message.type === 'start') throw unspent('rate_limited');
    this.#inTime();
    this.#phase = 'starting';
    this.#presents = message.type;
    void this.#present(message);
  }

  async #present(message: FirstMessage): Promise<void> {
    try {
      this.#session = await (message.type === 'start' ? this.#open(message) : this.#resume(message));
      if (!this.#session) return;
      if (this.#phase === 'closed') return this.#leaveSession();
      this.#phase = 'started';
      for (const waiting of this.#waiting.splice(0)) this.#session.receive(waiting);
    } catch (error) {
      await this.#refuse(this.#known(error));
    }
  }

  async #open(start: StartMessage): Promise<ClientSession | undefined> {
    const { admission, sessions, strangers } = this.#deps;
    const { origin, context } = this.#client;
    const claims = await admission.verify(start.token);
    this.#presented = { team: claims.team, endpoint_id: claims.endpointId, token_id: claims.id };
    strangers.remove(this);
    return sessions.open(admission.admit({ start, claims, origin, context }), this);
  }

  async #resume({ session_id: sessionId, ticket, fresh = false }: ResumeMessage): Promise<ClientSession | undefined> {
    const { sessions, strangers } = this.#deps;
    const { origin, context, countIn } = this.#client;
    if (tokenOfSession(sessionId) !== undefined) this.#presented = { session_id: sessionId };
    // A ticket that its client gave up waiting for may be an old one by now, and would count as stolen.
    await afterReads();
    if (!this.#isThere) return undefined;
    const session = await sessions.resume({ sessionId, ticket, fresh, origin, context }, this);
    strangers.remove(this);
    countIn?.();
    return session;
  }

  #expectFirst(): () => void {
    const { start_timeout_ms } = this.#deps.settings;
    if (!this.#client.countIn) return deadline(start_timeout_ms, () => this.fail(unspent('start_timeout')));
    return deadline(Math.min(BEYOND_MS, start_timeout_ms), () => this.fail(unspent('rate_limited')));
  }

  async #refuse(error: CallgateError): Promise<void> {
    const allowed = !PRESENTER_FAULTS.has(error.code) || (await this.#deps.limits.recordFailure(this.#client.peer));
    const refusal = allowed ? error : new CallgateError('rate_limited', { retryable: error.retryable });
    // Whoever leaves before the answer was refused all the same.
    if (this.gone) this.#tellRefused(refusal);
    else this.fail(refusal);
  }

  /** Once for each start: what fails while it is looked at does not keep it from being refused as well. */
  #tellRefused({ code }: CallgateError): void {
    if (this.#told) return;
    this.#told = true;
    const about = { ...this.#client.context, ...this.#presented };
    this.#deps.events.refused(code as CallErrorCode, about, this.#presents);
  }

  #closed(code: number): void {
    // Whatever we closed ourselves was left before.
    this.#hungUp = !this.gone && HANG_UPS.has(code);
    this.#leave();
    this.#deps.strangers.remove(this);
  }

  /** Nothing that comes in counts any more; a session hears that its client is gone. */
  #leave(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#inTime();
    this.#leaveSession();
  }

  #leaveSession(): void {
    if (this.#hungUp) this.#session?.receive({ type: 'hangup' });
    this.#session?.lost();
  }

  /** Whether its end of the connection is open, as far as it was read. */
  get #isThere(): boolean {
    return !this.gone && this.#ws.readyState === this.#ws.OPEN && !this.#client.stream.readableEnded;
  }

  /** Nothing is heard or told here any more; a session that is over still has its own last words to say. */
  #isDone(): boolean {
    return this.#phase === 'closed' || this.#session?.over === true;
  }

  /** A ticket is not spent by what comes of its presentation. */
  #unlessSpent(code: CallErrorCode): CallgateError {
    return this.#phase === 'waiting' || this.#presents === 'resume' ? unspent(code) : new CallgateError(code);
  }

  #known(cause: unknown): CallgateError {
    if (cause instanceof CallgateError && isCallCode(cause.code)) return cause;
    this.#log.error({ err: cause }, 'a defect ended a socket');
    return new CallgateError('unavailable', { cause });
  }

  /** Made when there is something to log, which there seldom is. */
  get #log(): Logger {
    return this.#deps.log.child(this.#client.context);
  }
}

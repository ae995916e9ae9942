import type { ServerMessage, SessionInfo } from '../../src/protocol/messages.ts';
import type { Chance } from './chance.ts';
import type { VirtualClock } from './clock.ts';
import { ENDPOINT } from './node.ts';
import type { VirtualSocket } from './socket.ts';

export interface ClientOptions {
  name: string;
  clock: VirtualClock;
  chance: Chance;
  token: string;
  /** Whether it can follow an offer on a new connection. */
  fresh: boolean;
  /** A socket to some node, for this first message. */
  dial(
    first: { type: string; ticket?: string },
    ends: { message(message: ServerMessage): void; closed(code: number): void },
  ): VirtualSocket;
  trace(what: string): void;
  violated(what: string): void;
}

/** How long it goes on trying to come back. */
const PATIENCE_MS = 60_000;

/** A client that calls, answers, loses its socket and comes back, and sometimes does what it should not. */
export class VirtualClient {
  readonly name: string;
  readonly #options: ClientOptions;
  #socket: VirtualSocket | undefined;
  #known: Pick<SessionInfo, 'id' | 'expires_at'> | undefined;
  /** Newest last. */
  readonly tickets: string[] = [];
  readonly ended: string[] = [];
  #lostAt: number | undefined;
  #pauseMs = 0;
  #done = false;

  constructor(options: ClientOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get sessionId(): string | undefined {
    return this.#known?.id;
  }

  get done(): boolean {
    return this.#done;
  }

  call(): void {
    const { token, fresh } = this.#options;
    const start = { type: 'start', endpoint_id: ENDPOINT.id, token, fresh };
    this.#dial(start);
  }

  /** Comes back on a new socket, whether or not it has lost the old one, with its ticket or an older one. */
  resume(ticket = this.tickets.at(-1)): void {
    if (!this.#known || ticket === undefined || this.#done) return;
    const resume = { type: 'resume', session_id: this.#known.id, ticket, fresh: this.#options.fresh };
    this.#dial(resume);
  }

  /** Somebody else has one of its tickets. */
  robbed(): void {
    const { chance } = this.#options;
    const stolen = chance.one(this.tickets);
    if (!this.#known || stolen === undefined) return;
    const message = { type: 'resume', session_id: this.#known.id, ticket: stolen, fresh: true };
    this.#options.trace(`${this.name}: a thief shows ticket ${this.tickets.indexOf(stolen)}`);
    const thief = this.#options.dial(message, { message: () => {}, closed: () => {} });
    thief.say(message);
  }

  hangUp(): void {
    this.#say({ type: 'hangup' });
  }

  leave(code: number): void {
    this.#options.trace(`${this.name} leaves with ${code}`);
    this.#socket?.leave(code);
    this.#socket = undefined;
    this.#done = true;
  }

  change(): void {
    this.#say(this.#options.chance.of(0.5) ? { type: 'restart_ice' } : { type: 'media', media: { video: 'none' } });
  }

  cut(): void {
    const { chance } = this.#options;
    this.#socket?.cut(chance.between(0, 60_000), chance.between(0, 500));
  }

  #dial(first: { type: string; ticket?: string }): void {
    const { dial, trace } = this.#options;
    const socket: VirtualSocket = dial(first, {
      message: (message) => this.#heard(socket, message),
      closed: (code) => this.#closed(socket, code),
    });
    trace(`${this.name}: ${first.type}`);
    this.#socket = socket;
    socket.say(first);
  }

  #say(message: { type: string; media?: object }): void {
    this.#options.trace(`${this.name}: ${message.type}`);
    this.#socket?.say(message);
  }

  #heard(socket: VirtualSocket, message: ServerMessage): void {
    const { clock, chance, trace } = this.#options;
    trace(
      `${this.name} hears ${message.type} ${'code' in message ? message.code : 'reason' in message ? message.reason : ''}`,
    );
    if (message.type === 'offer' || message.type === 'resumed') this.#learn(message.session);
    if (socket !== this.#socket) return;
    switch (message.type) {
      case 'offer': {
        if (chance.of(0.03)) return;
        const answer = { type: 'answer', offer_id: message.offer_id, sdp: 'v=0' };
        clock.after(chance.between(5, 300), undefined, () => socket.say(answer));
        return;
      }
      case 'resumed':
      case 'live':
        this.#lostAt = undefined;
        this.#pauseMs = 0;
        return;
      case 'ended':
        this.ended.push(message.reason);
        this.#done = true;
        return;
      case 'error':
        if (message.code === 'session_gone' || (!this.#known && !message.retryable)) this.#done = true;
        return;
    }
  }

  #learn({ id, expires_at, ticket }: SessionInfo): void {
    const known = this.#known;
    this.#known ??= { id, expires_at };
    if (known && (known.id !== id || known.expires_at !== expires_at))
      this.#options.violated(`${this.name}: its session or its deadline is another one`);
    if (!this.tickets.includes(ticket)) this.tickets.push(ticket);
  }

  #closed(socket: VirtualSocket, code: number): void {
    const { clock, trace } = this.#options;
    if (socket !== this.#socket || this.#done) return;
    trace(`${this.name} hears its socket close with ${code}`);
    this.#socket = undefined;
    this.#lostAt ??= clock.now;
    if (clock.now - this.#lostAt > PATIENCE_MS || (!this.#known && code === 1006)) {
      this.#done = true;
      return;
    }
    clock.after(this.#pauseMs, undefined, () => {
      if (this.#done || this.#socket) return;
      if (this.#known) this.resume();
      else this.call();
    });
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, 100), 4000);
  }
}

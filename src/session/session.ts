import type { Logger } from 'pino';
import type { Application } from '../application/application.ts';
import type { Applications } from '../application/applications.ts';
import type { Endpoint } from '../directory/directory.ts';
import { originAllowed } from '../directory/origin.ts';
import { CallgateError, unspent } from '../errors.ts';
import type { CallListener, CallSpec, MediaPlane, Reservation } from '../media/media.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { SessionInfo, SessionMessage } from '../protocol/messages.ts';
import type { HeldSession, Lease, TokenStore } from '../store/store.ts';
import type { RequestContext } from '../telemetry/audit.ts';
import type { SessionTrace } from '../telemetry/trace.ts';
import { Attachment } from './attachment.ts';
import type { ResumeRequest, SessionClient } from './client.ts';
import type { Finisher } from './finisher.ts';
import { HeldCall } from './held-call.ts';
import { initial, step } from './machine.ts';
import { type Resume, writeResume } from './resume.ts';
import { Saving } from './saving.ts';
import type { Deadlines, Effect, Event, Outstanding, State, TimerName } from './state.ts';
import type { TaskQueue } from './task-queue.ts';
import { newSecret, present, readTicket, type Tickets, ticketText } from './tickets.ts';
import { Timers } from './timers.ts';

/** What a session begins with: what the burn or the adoption gave, and what was held for it. */
export interface SessionGrant {
  lease: Lease;
  endpoint: Endpoint;
  /** Milliseconds until the session expires, counted from now. */
  remainingMs: number;
  /** Epoch milliseconds by the store's clock. */
  startedAt: number;
  expiresAt: number;
  resume: Resume;
  reservation: Reservation;
  tickets: Tickets;
  /** Whether another node held it before. */
  adopted: boolean;
}

/** Hears what becomes of a session. */
export interface SessionObserver {
  /** Media is connected, for the first time. */
  live(sinceStartMs: number): void;
  /** The certificate of its client is known from now on, and no other one may take its place. */
  pinned(session: Session): void;
  /** A client has come back. */
  resumed(context: RequestContext): void;
  /** Its call is on another worker than before. */
  rehomed(): void;
  /** Nothing of the session is left but what is to be stored of its end. */
  ended(session: Session, reason: EndReason): void;
  /** Its end is stored. */
  stored(reason: EndReason): void;
  /** Nothing of it is left here: another node has taken it, or may, where this one has given it up. */
  left(session: Session, givenUp: boolean): void;
}

export interface SessionDeps {
  media: MediaPlane;
  store: Pick<TokenStore, 'releasePlace' | 'save' | 'read' | 'leave'>;
  applications: Pick<Applications, 'open'>;
  /** Stores the end, however often that takes. */
  finisher: Pick<Finisher, 'finish'>;
  deadlines: Deadlines;
  log: Logger;
  observer: SessionObserver;
  /** Shared by all sessions. */
  tasks: TaskQueue;
  /** Where sessions are recorded. */
  trace?: SessionTrace | undefined;
}

/** One call, from the burn to its end: runs the state machine and owns everything that the session holds. */
export class Session {
  readonly lease: Lease;
  readonly endpoint: Endpoint;
  readonly #grant: SessionGrant;
  readonly #deps: SessionDeps;
  readonly #grantedAt = performance.now();
  readonly #timers: Timers<TimerName>;
  readonly #call: HeldCall;
  readonly #application: Application | undefined;
  readonly #saving: Saving;
  readonly #queue: Event[] = [];
  #state: State;
  #running = false;
  #attachment: Attachment | undefined;
  #tickets: Tickets;
  /** The certificate of the client: of the token, or of its first answer. */
  #fingerprint: string | undefined;
  #offers = 0;
  #sections = 0;
  #wasLive = false;
  #givenUp = false;
  /** Why it ends when it is its turn. */
  #due: EndReason | undefined;

  constructor(grant: SessionGrant, deps: SessionDeps) {
    const { lease, endpoint, resume, reservation, tickets, adopted } = grant;
    this.lease = lease;
    this.endpoint = endpoint;
    this.#grant = grant;
    this.#deps = deps;
    this.#tickets = tickets;
    this.#fingerprint = resume.fingerprint;
    this.#state = initial(deps.deadlines, { media: resume.media, fresh: resume.fresh, adopted });
    this.#call = new HeldCall(deps.media, reservation);
    this.#application = this.#openApplication();
    this.#saving = new Saving(() => deps.store.save(this.held));
    this.#timers = new Timers((timer) => this.dispatch({ type: 'timeout', timer, remainingMs: this.#remainingMs() }));
  }

  get id(): string {
    return this.lease.sessionId;
  }

  /** What the store keeps of it. */
  get held(): HeldSession {
    const { startedAt, expiresAt } = this.#grant;
    return { ...this.lease, tickets: this.#tickets.hashes, resume: writeResume(this.#resume), startedAt, expiresAt };
  }

  /** Whether it has begun to end. */
  get over(): boolean {
    return this.#state.phase === 'ending' || this.#state.phase === 'ended';
  }

  /** Whether another node holds it by now: what is over here goes on there. */
  get left(): boolean {
    return this.#state.phase === 'ended' && this.#state.reason === undefined;
  }

  /** Sections of the newest offer, which bound the size of an answer. */
  get offeredSections(): number {
    return this.#sections;
  }

  /** The client that it talks to, if there is one. */
  get attachment(): Attachment | undefined {
    return this.#attachment;
  }

  /** From now on this is whom it talks to. */
  attach(client: SessionClient): Attachment {
    this.#attachment = new Attachment(this, client);
    return this.#attachment;
  }

  begin(): void {
    this.dispatch({ type: 'begin', remainingMs: this.#remainingMs() });
    if (!this.over) this.#application?.begin();
  }

  /**
   * Takes a client that comes back with a ticket; whoever was there before is displaced at once, known to be gone or not. It
   * hears `resumed` once its next ticket is stored, or soon after.
   */
  async resume({ ticket, fresh, origin, context }: ResumeRequest, client: SessionClient): Promise<Attachment> {
    this.#take(ticket, origin);
    this.#displace();
    const attachment = this.attach(client);
    await this.#saving.settled();
    if (attachment !== this.#attachment) return attachment;
    if (this.over) throw this.#state.reason ? new CallgateError('session_gone') : unspent('unavailable');
    this.#deps.observer.resumed(context);
    this.dispatch({ type: 'client_back', fresh });
    return attachment;
  }

  /** Its client is gone. */
  detach(): void {
    this.#attachment = undefined;
    this.dispatch({ type: 'client_lost' });
  }

  /** Takes a message of the client. */
  receive(message: SessionMessage): void {
    switch (message.type) {
      case 'answer':
        return this.dispatch({ type: 'answer', offerId: message.offer_id, sdp: message.sdp });
      case 'media':
        return this.dispatch({ type: 'change', media: message.media });
      case 'restart_ice':
        return this.dispatch({ type: 'restart' });
      case 'dtmf':
        for (const digit of message.digits) this.#application?.pressed(digit);
        return;
      case 'message':
        return this.#application?.message(message.content);
      case 'hangup':
        return this.dispatch({ type: 'hangup' });
      default:
        return message satisfies never;
    }
  }

  /** Ends the session over an answer that cannot be used. */
  refuse(message: string): void {
    this.dispatch({ type: 'refused', error: new CallgateError('negotiation_failed', { message }) });
  }

  /** The only way out; whoever comes first gives the reason. */
  end(reason: EndReason): void {
    this.dispatch({ type: 'stop', reason: this.#due ?? reason });
  }

  /** Ends when it is its turn among many, for this reason even if its worker is lost before that. */
  endInTurn(reason: EndReason): void {
    if (this.over || this.#due !== undefined) return;
    this.#due = reason;
    this.#deps.tasks.run(() => this.end(reason));
  }

  /** Asks the store whether this node still holds it; resolves once it has been told if not. */
  async confirm(): Promise<void> {
    await this.#deps.store.save(this.held).catch(() => undefined);
  }

  /** Whether its client can follow it to another node. */
  get canFollow(): boolean {
    return this.#state.fresh && !this.over;
  }

  /** Gives it up for another node to adopt; its client is told to come back. Rejects, and changes nothing, when the store is away. */
  async giveUp(): Promise<void> {
    this.#givenUp = await this.#deps.store.leave(this.held);
    this.leave();
  }

  /** Another node holds it: lets go of all that it has here, and stores no end. */
  leave(): void {
    this.dispatch({ type: 'moved' });
  }

  /** Events that arrive while effects run wait their turn, so that effects are carried out in order. */
  dispatch(event: Event): void {
    this.#queue.push(event);
    if (this.#running) return;
    this.#running = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const [state, effects] = step(this.#state, next);
      this.#state = state;
      for (const effect of effects) this.#attempt(effect);
    }
    this.#running = false;
  }

  /** A defect in one effect must not keep the others, and the end above all, from being carried out. */
  #attempt(effect: Effect): void {
    try {
      this.#run(effect);
    } catch (error) {
      this.#log.error({ err: error, effect: effect.type }, 'an effect failed');
    }
  }

  #run(effect: Effect): void {
    const client = this.#attachment?.client;
    switch (effect.type) {
      case 'open_call':
        return this.#openCall(effect.connection);
      case 'close_call':
        return this.#call.close();
      case 'accept':
        return this.#accept(effect.offerId, effect.sdp);
      case 'change':
        return this.#call.change(effect.media);
      case 'restart':
        return this.#call.restart();
      case 'send_offer':
        return this.#sendOffer(effect.outstanding);
      case 'send_resumed':
        return client?.send({ type: 'resumed', session: this.#info() });
      case 'send':
        return client?.send(effect.message);
      case 'start_timer':
        return this.#timers.start(effect.timer, effect.ms);
      case 'stop_timer':
        return this.#timers.stop(effect.timer);
      case 'connected':
        return this.#connected();
      case 'rehomed':
        return this.#deps.observer.rehomed();
      case 'settle':
        this.#application?.close();
        this.#deps.trace?.ended(effect.reason, this.#ageMs());
        return this.#deps.tasks.run(() => this.#settle(effect.reason));
      case 'close_client':
        return client?.close(effect.code);
      case 'done':
        return this.#deps.observer.ended(this, effect.reason);
      case 'left':
        this.#application?.close();
        return this.#deps.observer.left(this, this.#givenUp);
      default:
        return effect satisfies never;
    }
  }

  /** @throws {CallgateError} when this ticket, or this page, does not lead back to the session */
  #take(ticket: string, origin: string | undefined): void {
    const shown = this.over ? undefined : readTicket(ticket);
    const presented = present(this.#tickets, shown ?? '', newSecret);
    if (presented.outcome === 'reused') this.end('ticket_reused');
    if (!('tickets' in presented)) throw new CallgateError('session_gone');
    if (!originAllowed(origin, this.endpoint.allowedOrigins)) throw unspent('origin_denied');
    this.#tickets = presented.tickets;
    if (presented.outcome === 'rotated') this.#saving.save();
  }

  /** Until its successor has been told that it is back, the session counts as left alone. */
  #displace(): void {
    const displaced = this.#attachment;
    this.detach();
    if (!displaced) return;
    const { code, message, retryable, closeCode } = new CallgateError('session_gone');
    displaced.client.send({ type: 'error', code: code as 'session_gone', message, retryable });
    displaced.client.close(closeCode);
  }

  #openCall(connection: number): void {
    const open = () =>
      this.#call.open(this.#spec, this.#listener(connection)).catch((cause) => {
        this.#unlessDue({ type: 'open_failed', connection, error: this.#known(cause) });
      });
    // Thousands that look for another worker together do not block everything else.
    if (connection === 0) void open();
    else this.#deps.tasks.run(() => void open());
  }

  get #spec(): CallSpec {
    const { participant } = this.#grant.resume;
    return {
      sessionId: this.id,
      endpoint: this.endpoint,
      media: this.#state.media,
      participant,
      sound: this.#application,
      ...(this.#fingerprint !== undefined && { fingerprint: this.#fingerprint }),
      newOfferId: () => `${this.lease.epoch}.${++this.#offers}`,
    };
  }

  /** What answers, at an endpoint that leads to an application. */
  #openApplication(): Application | undefined {
    const { target } = this.endpoint;
    if (target.kind !== 'stream') return undefined;
    const { tokenId, endpointId, sessionId } = this.lease;
    const { team } = this.endpoint;
    const metadata = async () => (await this.#deps.store.read(tokenId))?.metadata;
    return this.#deps.applications.open(
      { sessionId, endpointId, team, target, metadata },
      {
        state: (state) => this.dispatch({ type: 'application', state }),
        message: (content) => this.dispatch({ type: 'said', content }),
        ended: (reason) => this.end(reason),
      },
    );
  }

  #listener(connection: number): CallListener {
    return {
      offer: (offer) => this.dispatch({ type: 'offer', connection, offer }),
      connected: () => this.dispatch({ type: 'connected', connection }),
      reachable: (reachable) => this.dispatch({ type: 'reachable', connection, reachable }),
      lost: () => this.#unlessDue({ type: 'call_lost', connection }),
      ended: (reason) => this.#unlessDue({ type: 'call_ended', connection, reason }),
    };
  }

  /** What is to end anyway ends for that reason. */
  #unlessDue(event: Event): void {
    if (this.#due === undefined) this.dispatch(event);
    else this.end(this.#due);
  }

  #connected(): void {
    if (this.#wasLive) return;
    this.#wasLive = true;
    const ms = this.#ageMs();
    this.#deps.observer.live(ms);
    this.#deps.trace?.live(ms);
  }

  #accept(offerId: string, sdp: string): void {
    const { connection } = this.#state;
    this.#deps.trace?.answered(sdp);
    this.#call.accept(offerId, sdp).then(
      (fingerprint) => {
        if (this.#fingerprint !== undefined || fingerprint === undefined) return;
        this.#fingerprint = fingerprint;
        this.#deps.observer.pinned(this);
      },
      (cause) => this.dispatch({ type: 'not_accepted', connection, error: this.#known(cause) }),
    );
  }

  #sendOffer({ offer: { id, sdp, sections }, fresh }: Outstanding): void {
    this.#sections = sections;
    const session = this.#info();
    this.#attachment?.client.send({ type: 'offer', offer_id: id, sdp, session, ...(fresh && { fresh }) });
  }

  #info(): SessionInfo {
    return {
      id: this.id,
      endpoint_id: this.lease.endpointId,
      expires_at: new Date(this.#grant.expiresAt).toISOString(),
      expires_in_ms: Math.max(0, Math.round(this.#remainingMs())),
      ticket: ticketText(this.lease.node, this.#tickets.secret),
      grace_ms: this.#deps.deadlines.grace,
    };
  }

  get #resume(): Resume {
    const { participant } = this.#grant.resume;
    const { media, fresh } = this.#state;
    return { media, fresh, participant, ...(this.#fingerprint !== undefined && { fingerprint: this.#fingerprint }) };
  }

  #settle(reason: EndReason): void {
    const { tokenId, endpointId, sessionId, node, epoch } = this.lease;
    const freed = this.#deps.store.releasePlace({ endpointId, sessionId }).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'the place is freed when its lease lapses');
    });
    const { startedAt, expiresAt } = this.#grant;
    const end = { id: tokenId, sessionId, node, epoch, startedAt, expiresAt, reason };
    const stored = this.#deps.finisher.finish(end);
    stored
      .then((isEnd) => this.#stored(reason, isEnd))
      .catch((error: unknown) => this.#log.error({ err: error }, 'an end was not told'));
    Promise.all([stored, freed]).then(
      () => this.dispatch({ type: 'settled' }),
      (error: unknown) => this.#log.error({ err: error }, 'the end of the session could not be stored'),
    );
  }

  /** An end that is not the session's is another node's to tell. */
  #stored(reason: EndReason, isEnd: boolean): void {
    if (isEnd) this.#deps.observer.stored(reason);
    else this.leave();
  }

  /** Made when there is something to log, which there seldom is. */
  get #log(): Logger {
    const { sessionId: session_id, endpointId: endpoint_id, node } = this.lease;
    return this.#deps.log.child({ session_id, endpoint_id, node });
  }

  #remainingMs(): number {
    return this.#grant.remainingMs - (performance.now() - this.#grantedAt);
  }

  /** Since its burn. */
  #ageMs(): number {
    const { startedAt, expiresAt } = this.#grant;
    return expiresAt - startedAt - this.#remainingMs();
  }

  #known(cause: unknown): CallgateError {
    if (cause instanceof CallgateError) return cause;
    this.#log.error({ err: cause }, 'media failed');
    return new CallgateError('unavailable', { cause });
  }
}

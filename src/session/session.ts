import type { Logger } from 'pino';
import type { Endpoint } from '../directory/directory.ts';
import { CallgateError } from '../errors.ts';
import type { CallListener, CallSpec, MediaCall, MediaPlane, Offer } from '../media/media.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { SessionInfo, SessionMessage } from '../protocol/messages.ts';
import { deadline } from '../shared/deadline.ts';
import type { HeldSession, TokenStore } from '../store/store.ts';
import type { SessionTrace } from '../telemetry/trace.ts';
import type { ClientSession, SessionClient, SessionGrant } from './client.ts';
import type { Finisher } from './finisher.ts';
import { type Deadlines, type Effect, type Event, initial, type State, step, type TimerName } from './machine.ts';
import type { TaskQueue } from './task-queue.ts';

/** Hears what becomes of a session. */
export interface SessionObserver {
  live(session: Session, sinceStartMs: number): void;
  /** Told once, when nothing of the session is left. */
  ended(session: Session, reason: EndReason): void;
}

export interface SessionDeps {
  media: MediaPlane;
  store: Pick<TokenStore, 'releasePlace'>;
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
export class Session implements ClientSession {
  readonly lease: HeldSession;
  readonly #grant: SessionGrant;
  readonly #deps: SessionDeps;
  readonly #startedAt = performance.now();
  /** How each timer that runs is stopped. */
  readonly #timers = new Map<TimerName, () => void>();
  readonly #queue: Event[] = [];
  #state: State;
  #running = false;
  #client: SessionClient | undefined;
  #offers = 0;
  #call: MediaCall | undefined;
  /** The media side has taken over the reservation. */
  #opening = false;
  #sections = 0;
  /** Why it ends when it is its turn. */
  #due: EndReason | undefined;

  constructor(grant: SessionGrant, deps: SessionDeps) {
    this.lease = grant.lease;
    this.#grant = grant;
    this.#deps = deps;
    this.#state = initial(deps.deadlines);
  }

  get id(): string {
    return this.lease.sessionId;
  }

  get endpoint(): Endpoint {
    return this.#grant.call.endpoint;
  }

  /** Whether it has begun to end; what the client says from then on means nothing. */
  get over(): boolean {
    return this.#state.phase === 'ending' || this.#state.phase === 'ended';
  }

  /** Sections of the newest offer, which bound the size of an answer. */
  get offeredSections(): number {
    return this.#sections;
  }

  /** From now on this is whom it talks to. */
  attach(client: SessionClient): void {
    this.#client = client;
  }

  begin(): void {
    this.dispatch({ type: 'begin', remainingMs: this.#remainingMs() });
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
      case 'hangup':
        return this.dispatch({ type: 'hangup' });
      default:
        return message satisfies never;
    }
  }

  /** A client is gone; only that of the present one means anything. */
  lost(client: SessionClient): void {
    if (client === this.#client) this.dispatch({ type: 'client_lost' });
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
    switch (effect.type) {
      case 'open_call':
        return this.#openCall();
      case 'close_call':
        return this.#closeCall();
      case 'accept':
        return this.#accept(effect.offerId, effect.sdp);
      case 'change':
        return this.#call?.change(effect.media);
      case 'restart':
        return this.#call?.restart();
      case 'send_offer':
        return this.#sendOffer(effect.offer);
      case 'send':
        if (effect.message.type === 'live') this.#toldLive();
        return this.#client?.send(effect.message);
      case 'start_timer':
        return this.#startTimer(effect.timer, effect.ms);
      case 'stop_timer':
        return this.#stopTimer(effect.timer);
      case 'settle':
        this.#deps.trace?.ended(effect.reason, performance.now() - this.#startedAt);
        return this.#deps.tasks.run(() => this.#settle(effect.reason));
      case 'close_client':
        return this.#client?.close(effect.code);
      case 'done':
        return this.#deps.observer.ended(this, effect.reason);
      default:
        return effect satisfies never;
    }
  }

  #openCall(): void {
    this.#opening = true;
    const { call, reservation } = this.#grant;
    const newOfferId = () => String(++this.#offers);
    const spec: CallSpec = { ...call, sessionId: this.id, remainingMs: this.#remainingMs(), newOfferId };
    this.#deps.media.open(spec, reservation.id, this.#listener()).then(
      (call) => {
        this.#call = call;
        if (this.over) call.close();
        else call.start();
      },
      (cause) => {
        if (this.#due !== undefined) this.end(this.#due);
        else this.dispatch({ type: 'open_failed', error: this.#known(cause) });
      },
    );
  }

  /** A call that is still being opened is closed when it is there. */
  #closeCall(): void {
    if (this.#opening) this.#call?.close();
    else this.#grant.reservation.release();
  }

  #listener(): CallListener {
    return {
      offer: (offer) => this.dispatch({ type: 'offer', offer }),
      connected: () => this.dispatch({ type: 'connected' }),
      reachable: (reachable) => this.dispatch({ type: 'reachable', reachable }),
      ended: (reason) => this.end(reason),
    };
  }

  #toldLive(): void {
    const ms = performance.now() - this.#startedAt;
    this.#deps.observer.live(this, ms);
    this.#deps.trace?.live(ms);
  }

  #accept(offerId: string, sdp: string): void {
    this.#deps.trace?.answered(sdp);
    this.#call?.accept(offerId, sdp).then(
      (accepted) => {
        if (accepted) this.dispatch({ type: 'accepted', offerId });
      },
      (cause) => this.dispatch({ type: 'refused', error: this.#known(cause) }),
    );
  }

  #sendOffer({ id, sdp, sections }: Offer): void {
    this.#sections = sections;
    this.#client?.send({ type: 'offer', offer_id: id, sdp, session: this.#info() });
  }

  #info(): SessionInfo {
    return {
      id: this.id,
      endpoint_id: this.lease.endpointId,
      expires_at: new Date(this.#grant.expiresAt).toISOString(),
      expires_in_ms: Math.max(0, Math.round(this.#remainingMs())),
      ticket: this.#grant.ticket,
      grace_ms: this.#deps.deadlines.grace,
    };
  }

  #settle(reason: EndReason): void {
    const { tokenId, endpointId, sessionId } = this.lease;
    const freed = this.#deps.store.releasePlace({ endpointId, sessionId }).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'the place is freed when its lease lapses');
    });
    const stored = this.#deps.finisher.finish({ ...this.lease, id: tokenId, reason });
    Promise.all([stored, freed]).then(
      () => this.dispatch({ type: 'settled' }),
      (error: unknown) => this.#log.error({ err: error }, 'the end of the session could not be stored'),
    );
  }

  #startTimer(timer: TimerName, ms: number): void {
    this.#stopTimer(timer);
    const fire = () => {
      this.#timers.delete(timer);
      this.dispatch({ type: 'timeout', timer, remainingMs: this.#remainingMs() });
    };
    this.#timers.set(timer, deadline(ms, fire));
  }

  #stopTimer(timer: TimerName): void {
    this.#timers.get(timer)?.();
    this.#timers.delete(timer);
  }

  /** Made when there is something to log, which there seldom is. */
  get #log(): Logger {
    return this.#deps.log.child({ session_id: this.id, endpoint_id: this.lease.endpointId });
  }

  #remainingMs(): number {
    return this.#grant.remainingMs - (performance.now() - this.#startedAt);
  }

  #known(cause: unknown): CallgateError {
    if (cause instanceof CallgateError) return cause;
    this.#log.error({ err: cause }, 'media failed');
    return new CallgateError('unavailable', { cause });
  }
}

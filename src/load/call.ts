import type { ServerMessage, SessionInfo, StartMessage } from '../protocol/messages.ts';
import { CallSocket, type OfferMessage } from './call-socket.ts';
import { Comeback, isPassing } from './comeback.ts';
import type { Connections } from './connections.ts';
import { Failure } from './failure.ts';
import { Losses } from './losses.ts';

export interface CallOptions {
  /** Answers the offers; without it they stay unanswered. */
  media: Promise<Connections> | undefined;
  /** Milliseconds after the start of the run. */
  now(): number;
  /** Where a client that lost its socket comes back; without addresses it does not. */
  urls: readonly string[];
  /** Whether it follows fresh offers. */
  fresh: boolean;
}

/** One session as its client lives it: what it hears, what it answers, and the socket of the moment. */
export class Call {
  readonly losses: Losses;
  readonly #options: CallOptions;
  readonly #offered = Promise.withResolvers<OfferMessage>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #failed = Promise.withResolvers<never>();
  #away = Promise.withResolvers<void>();
  #back: Promise<void> = Promise.resolve();
  #comeback: Comeback | undefined;
  #answering: Promise<void> = Promise.resolve();
  #socket: CallSocket | undefined;
  #session: SessionInfo | undefined;
  #freshOffer: string | undefined;
  #hangingUp = false;
  #left = false;
  #end: { reason: string; atMs: number } | undefined;

  constructor(options: CallOptions) {
    this.#options = options;
    this.losses = new Losses(options.now);
    // Whoever waits for something hears of a failure; when nobody waits, nobody needs to.
    void Promise.allSettled([this.#failed.promise]);
  }

  /** Resolves with the first offer. Never rejects; nor do the others but `failed`. */
  get offered(): Promise<OfferMessage> {
    return this.#offered.promise;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Resolves when the client loses its socket the next time, and comes back. */
  get away(): Promise<void> {
    return this.#away.promise;
  }

  /** Resolves when the client that lost its socket is back, or cannot come back; at once while it has one. */
  get back(): Promise<void> {
    return this.#back;
  }

  /** Rejects with a `Failure` when the session cannot go on. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** The server's last word, once it was said. */
  get end(): { reason: string; atMs: number } | undefined {
    return this.#end;
  }

  /** Presents a token while the socket opens. */
  present(url: string, start: StartMessage, opened: () => void): void {
    this.#socket = new CallSocket(url, { ...this.#listener(), opened }, start);
  }

  /** Goes on with the socket on which a session was offered. */
  adopt(socket: CallSocket, offer: OfferMessage): void {
    this.#socket = socket;
    socket.listener = this.#listener();
    this.#hear(offer);
  }

  /** Breaks the socket; the session is left to the server. */
  lose(): void {
    this.#left = true;
    this.#socket?.kill();
  }

  /** Breaks the socket, and comes back. */
  kill(): void {
    if (this.#comeback) return;
    this.#socket?.kill();
    this.#comeBack(true);
  }

  /** Once it is back, if it is away. */
  hangUp(): void {
    this.#hangingUp = true;
    if (!this.#comeback) this.#socket?.send({ type: 'hangup' });
  }

  /** Id of the session, once it is offered. */
  get sessionId(): string | undefined {
    return this.#session?.id;
  }

  fail(code: string, cause?: string): void {
    this.#failed.reject(new Failure(code, cause));
  }

  /** Leaves; a session that has not ended hears its client go. */
  close(): void {
    this.#left = true;
    this.#comeback?.leave();
    if (this.#end) this.#socket?.close();
    else this.#socket?.kill();
  }

  #listener() {
    return {
      said: (message: ServerMessage) => this.#hear(message),
      closed: (code: string, cause?: string) => this.#lost(code, cause),
    };
  }

  #lost(code: string, cause?: string): void {
    if (this.#end || this.#left) return;
    if (this.#session && this.#options.urls.length > 0 && isPassing(code)) this.#comeBack(false);
    else this.fail(code, cause);
  }

  #comeBack(killed: boolean): void {
    if (!this.#session) return;
    const { id: session_id, ticket, grace_ms: graceMs } = this.#session;
    const { urls, fresh } = this.#options;
    const message = { type: 'resume', session_id, ticket, ...(fresh && { fresh }) } as const;
    this.losses.lost(killed);
    this.#away.resolve();
    this.#away = Promise.withResolvers();
    const comeback = new Comeback({
      urls,
      message,
      graceMs,
      resumed: (socket, { session }) => {
        this.losses.returned(ticket, session.ticket);
        this.#comeback = undefined;
        this.#session = session;
        this.#socket = socket;
        socket.listener = this.#listener();
        if (this.#hangingUp) this.hangUp();
      },
    });
    this.#comeback = comeback;
    this.#back = comeback.run().then((code) => {
      if (code === undefined) return;
      this.losses.gone(code);
      this.#comeback = undefined;
      this.fail(code);
    });
  }

  #hear(message: ServerMessage): void {
    switch (message.type) {
      case 'offer':
        this.#session = message.session;
        this.#offered.resolve(message);
        this.#answering = this.#answering.then(() => this.#answer(message));
        return;
      case 'live':
        this.losses.live();
        return void this.#options.media?.then((media) => media.live());
      case 'ended':
        this.#end ??= { reason: message.reason, atMs: this.#options.now() };
        return this.#ended.resolve();
      case 'error':
        // The close that follows is a loss like any other.
        if (!isPassing(message.code)) this.fail(message.code);
        else if (!this.#session || this.#options.urls.length === 0) this.fail(message.code);
        return;
      case 'resumed':
      case 'tracks':
      case 'expiring':
      case 'application':
      case 'message':
        return;
      default:
        return message satisfies never;
    }
  }

  async #answer({ offer_id, sdp, fresh }: OfferMessage): Promise<void> {
    try {
      const media = await this.#options.media;
      if (!media || this.#left) return;
      // It comes again after a loss, until it is answered.
      if (fresh && offer_id !== this.#freshOffer) {
        this.#freshOffer = offer_id;
        this.losses.freshOffer();
        await media.renew();
      }
      this.#socket?.send({ type: 'answer', offer_id, sdp: await media.answer(sdp) });
    } catch (error) {
      this.fail(error instanceof Failure ? error.code : 'answer_failed');
    }
  }
}

import type { Peer } from '../peer/peer.ts';
import type { ServerMessage, SessionInfo, StartMessage } from '../protocol/messages.ts';
import { CallSocket, type OfferMessage } from './call-socket.ts';
import { Failure } from './failure.ts';

/** One session as its client lives it: what it hears, what it answers, and the socket of the moment. */
export class Call {
  readonly #peer: Promise<Peer> | undefined;
  readonly #now: () => number;
  readonly #offered = Promise.withResolvers<OfferMessage>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #failed = Promise.withResolvers<never>();
  #resumed = Promise.withResolvers<void>();
  #socket: CallSocket | undefined;
  #session: SessionInfo | undefined;
  #end: { reason: string; atMs: number } | undefined;

  /** `peer` answers the offers, without one they stay unanswered; `now` is milliseconds after the start of the run. */
  constructor(peer: Promise<Peer> | undefined, now: () => number) {
    this.#peer = peer;
    this.#now = now;
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

  /** Resolves when the session goes on after `resume`. */
  get resumed(): Promise<void> {
    return this.#resumed.promise;
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
    this.#socket?.kill();
  }

  /** Comes back on a new socket with the newest ticket. */
  resume(url: string): void {
    if (!this.#session) return;
    const { id, ticket } = this.#session;
    this.#resumed = Promise.withResolvers<void>();
    const socket = new CallSocket(url, {
      ...this.#listener(),
      opened: () => socket.send({ type: 'resume', session_id: id, ticket }),
    });
    this.#socket = socket;
  }

  hangUp(): void {
    this.#socket?.send({ type: 'hangup' });
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
    if (this.#end) this.#socket?.close();
    else this.#socket?.kill();
  }

  #listener() {
    return {
      said: (message: ServerMessage) => this.#hear(message),
      closed: (code: string, cause?: string) => {
        if (!this.#end) this.fail(code, cause);
      },
    };
  }

  #hear(message: ServerMessage): void {
    switch (message.type) {
      case 'offer':
        this.#session = message.session;
        this.#offered.resolve(message);
        return void this.#answer(message);
      case 'resumed':
        this.#session = message.session;
        return this.#resumed.resolve();
      case 'ended':
        this.#end ??= { reason: message.reason, atMs: this.#now() };
        return this.#ended.resolve();
      case 'error':
        return this.fail(message.code);
      case 'live':
      case 'tracks':
      case 'expiring':
        return;
      default:
        return message satisfies never;
    }
  }

  async #answer({ offer_id, sdp }: OfferMessage): Promise<void> {
    try {
      const answer = await (await this.#peer)?.answer(sdp);
      if (answer !== undefined) this.#socket?.send({ type: 'answer', offer_id, sdp: answer });
    } catch {
      this.fail('answer_failed');
    }
  }
}

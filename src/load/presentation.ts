import type { ServerMessage, StartMessage } from '../protocol/messages.ts';
import { CallSocket, type OfferMessage } from './call-socket.ts';
import { Failure } from './failure.ts';
import { PATIENCE_MS } from './waiting.ts';

/** One client that presents a token, until it knows whether it gets a session. */
export class Presentation {
  readonly socket: CallSocket;
  readonly #opened = Promise.withResolvers<void>();
  readonly #verdict = Promise.withResolvers<string>();
  readonly #timer: NodeJS.Timeout;
  readonly #offered: (socket: CallSocket, offer: OfferMessage) => void;

  /**
   * Opens the socket; `early` is presented with the upgrade. `offered` is called in the same turn in which the offer came, so
   * that whoever takes the socket over misses no message.
   */
  constructor(url: string, offered: (socket: CallSocket, offer: OfferMessage) => void, early?: StartMessage) {
    this.#offered = offered;
    this.#timer = setTimeout(() => this.#decide('timeout'), PATIENCE_MS);
    const closed = (code: string) => this.#decide(code);
    const listener = { opened: this.#opened.resolve, said: (message: ServerMessage) => this.#receive(message), closed };
    this.socket = new CallSocket(url, listener, early);
    // An early start does not wait for the opening, so nobody else handles its rejection.
    void Promise.allSettled([this.#opened.promise]);
  }

  /** Rejects with a `Failure` when the socket cannot be opened. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** `offered`, the code of the refusal or of the broken socket, `timeout`, or `interrupted` when it left before. Never rejects. */
  get verdict(): Promise<string> {
    return this.#verdict.promise;
  }

  /** Drops the connection without a message. */
  leave(): void {
    this.#decide('interrupted');
    this.socket.kill();
  }

  #receive(message: ServerMessage): void {
    if (message.type === 'error') this.#decide(message.code);
    if (message.type !== 'offer') return;
    this.#decide('offered');
    this.#offered(this.socket, message);
  }

  #decide(verdict: string): void {
    clearTimeout(this.#timer);
    this.#opened.reject(new Failure(verdict));
    this.#verdict.resolve(verdict);
  }
}

/** Presents a token and hangs up at once if it gets a session. Resolves with the verdict. */
export async function presentOnce(url: string, start: StartMessage): Promise<string> {
  const presentation = new Presentation(url, (socket) => socket.send({ type: 'hangup' }), start);
  const verdict = await presentation.verdict;
  presentation.leave();
  return verdict;
}

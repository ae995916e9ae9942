import type { ServerMessage, StartMessage } from '../protocol/messages.ts';
import { CallSocket, type OfferMessage } from './call-socket.ts';
import { Failure } from './failure.ts';
import { PATIENCE_MS } from './waiting.ts';

/** A client that presents a token and waits for one word. */
export class Contender {
  readonly socket: CallSocket;
  readonly #opened = Promise.withResolvers<void>();
  readonly #verdict = Promise.withResolvers<string>();
  readonly #timer: NodeJS.Timeout;
  readonly #offered: (socket: CallSocket, offer: OfferMessage) => void;

  /**
   * Opens the socket; `early` presents with it. `offered` is called in the very turn in which an offer came, so that
   * whoever goes on with the socket misses nothing.
   */
  constructor(url: string, offered: (socket: CallSocket, offer: OfferMessage) => void, early?: StartMessage) {
    this.#offered = offered;
    this.#timer = setTimeout(() => this.#decide('timeout'), PATIENCE_MS);
    const closed = (code: string) => this.#decide(code);
    const listener = { opened: this.#opened.resolve, said: (message: ServerMessage) => this.#hear(message), closed };
    this.socket = new CallSocket(url, listener, early);
    // Who presents early does not wait for the opening.
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

  /** Leaves without a word. */
  leave(): void {
    this.#decide('interrupted');
    this.socket.kill();
  }

  #hear(message: ServerMessage): void {
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

/** Presents a token by one client that hangs up at once if it is taken. Resolves with the verdict. */
export async function presentOnce(url: string, start: StartMessage): Promise<string> {
  const contender = new Contender(url, (socket) => socket.send({ type: 'hangup' }), start);
  const verdict = await contender.verdict;
  contender.leave();
  return verdict;
}

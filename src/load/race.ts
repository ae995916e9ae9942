import type { StartMessage } from '../protocol/messages.ts';
import type { CallSocket, OfferMessage } from './call-socket.ts';
import { Presentation } from './presentation.ts';

/** Several clients that present one token at the same moment. One must win; all others must be refused with `token_used`. */
export class Race {
  readonly #presentations: Presentation[];
  readonly #won: (socket: CallSocket, offer: OfferMessage) => void;
  #winner: CallSocket | undefined;

  /** One client per URL. `won` gets the first that is offered a session; any other hangs its session up. */
  constructor(urls: readonly string[], won: (socket: CallSocket, offer: OfferMessage) => void) {
    this.#won = won;
    this.#presentations = urls.map((url) => new Presentation(url, (socket, offer) => this.#offered(socket, offer)));
  }

  /** Opens all sockets first, and then sends all starts in one turn of the event loop. @throws {Failure} */
  async present(start: StartMessage, opened: () => void): Promise<void> {
    await Promise.all(this.#presentations.map((presentation) => presentation.opened));
    opened();
    for (const { socket } of this.#presentations) socket.send(start);
  }

  /** Resolves when all have their verdict: how many won, and what a loser got other than `token_used`. */
  async result(): Promise<{ winners: number; oddity: string | undefined }> {
    const verdicts = await Promise.all(this.#presentations.map(({ verdict }) => verdict));
    return {
      winners: verdicts.filter((verdict) => verdict === 'offered').length,
      oddity: verdicts.find((verdict) => verdict !== 'offered' && verdict !== 'token_used'),
    };
  }

  /** Drops all but the winner. */
  leave(): void {
    for (const presentation of this.#presentations) if (presentation.socket !== this.#winner) presentation.leave();
  }

  #offered(socket: CallSocket, offer: OfferMessage): void {
    if (this.#winner) return socket.send({ type: 'hangup' });
    this.#winner = socket;
    this.#won(socket, offer);
  }
}

import { CallgateError, type ErrorCode } from '../../errors.ts';
import type { ServerMessage, SessionMessage } from '../../protocol/messages.ts';
import { type ClientSession, Elsewhere, type SessionClient } from '../../session/client.ts';
import type { GatewayFrame, NodeFrame } from './frames.ts';

/** Come back with `resume` (RFC 6455 section 7.4.1, IANA: service restart). */
const SERVICE_RESTART = 1012;

type Answer = Exclude<NodeFrame, { type: 'load' }>;

/** One client of this gateway, whose session is at the other end of a link. */
export class RemoteSession implements ClientSession {
  /** Resolves once the node has taken the client; rejects with what it, or the end of the link, says. */
  readonly opened: Promise<RemoteSession>;
  readonly #stream: number;
  readonly #client: SessionClient;
  readonly #send: (frame: GatewayFrame) => void;
  readonly #ended: () => void;
  readonly #opening = Promise.withResolvers<RemoteSession>();
  #over = false;
  #sections = 0;

  constructor(stream: number, client: SessionClient, send: (frame: GatewayFrame) => void, ended: () => void) {
    this.#stream = stream;
    this.#client = client;
    this.#send = send;
    this.#ended = ended;
    this.opened = this.#opening.promise;
  }

  get over(): boolean {
    return this.#over;
  }

  get offeredSections(): number {
    return this.#sections;
  }

  receive(message: SessionMessage): void {
    if (!this.#over) this.#send({ type: 'said', stream: this.#stream, message });
  }

  refuse(message: string): void {
    if (!this.#over) this.#send({ type: 'unusable', stream: this.#stream, message });
  }

  lost(): void {
    if (this.#over) return;
    this.#send({ type: 'lost', stream: this.#stream });
    this.#leave();
  }

  /** Takes what the node says. */
  answer(frame: Answer): void {
    switch (frame.type) {
      case 'opened':
        return this.#opening.resolve(this);
      case 'refused':
        this.#leave();
        return this.#opening.reject(errorOf(frame));
      case 'tell':
        return this.#tell(frame.message);
      case 'shut':
        this.#leave();
        return this.#client.close(frame.code);
      default:
        return frame satisfies never;
    }
  }

  /** The link is gone; `error` is for whoever has no session yet, all others come back with their tickets. */
  broken(error: CallgateError): void {
    if (this.#over) return;
    this.#leave();
    this.#opening.reject(error);
    void this.opened.then(
      () => this.#client.close(SERVICE_RESTART),
      () => undefined,
    );
  }

  #tell(message: ServerMessage): void {
    if (message.type === 'offer') this.#sections = message.sdp.split('\nm=').length - 1;
    this.#client.send(message);
  }

  #leave(): void {
    this.#over = true;
    this.#ended();
  }
}

function errorOf({ code, message, retryable, elsewhere }: NodeFrame & { type: 'refused' }): CallgateError {
  if (elsewhere !== undefined) return new Elsewhere(elsewhere);
  return new CallgateError(code as ErrorCode, { message, retryable });
}

import { CallgateError } from '../../errors.ts';
import type { ServerMessage, SessionMessage } from '../../protocol/messages.ts';
import { type ClientSession, Elsewhere, type SessionClient, type Sessions } from '../../session/client.ts';
import { afterReads } from '../../shared/after-reads.ts';
import { type GatewayFrame, type NodeFrame, readGatewayFrame } from './frames.ts';

type Asking = GatewayFrame & { type: 'open' | 'resume' };

/** What one link needs of what carries it. */
export interface Carrier {
  send(frame: NodeFrame): void;
  kill(): void;
}

/** The clients that come over one link, at the node that holds their sessions. */
export class ServedLink {
  readonly #carrier: Carrier;
  readonly #sessions: Sessions;
  readonly #defect: (error: unknown) => void;
  /** By stream. */
  readonly #clients = new Map<number, RemoteClient>();

  constructor(carrier: Carrier, sessions: Sessions, defect: (error: unknown) => void) {
    this.#carrier = carrier;
    this.#sessions = sessions;
    this.#defect = defect;
  }

  /** How many clients it carries. */
  get streams(): number {
    return this.#clients.size;
  }

  /** Takes one frame of the gateway; one that breaks the protocol ends the link. */
  frame(text: string): void {
    const frame = readGatewayFrame(text);
    if (frame === undefined) return this.#carrier.kill();
    if (frame.type === 'open' || frame.type === 'resume') return this.#ask(frame);
    const client = this.#clients.get(frame.stream);
    switch (frame.type) {
      case 'said':
        return client?.said(frame.message);
      case 'unusable':
        return client?.unusable(frame.message);
      case 'lost':
        return client?.lost();
      default:
        return frame satisfies never;
    }
  }

  /** Every client that came over it is lost with it. */
  closed(): void {
    for (const client of [...this.#clients.values()]) client.lost();
  }

  #ask(frame: Asking): void {
    const { stream } = frame;
    // A stream stands for one client, ever.
    if (this.#clients.has(stream)) return this.#carrier.kill();
    const client = new RemoteClient(stream, this.#carrier, () => this.#clients.delete(stream));
    this.#clients.set(stream, client);
    const session = frame.type === 'open' ? this.#sessions.open(frame.request, client) : this.#resume(frame, client);
    session.then(
      (session) => client.opened(session),
      (error: unknown) => client.refused(this.#known(error)),
    );
  }

  /** For whoever has gone meanwhile no ticket is shown: it may be an old one by now, and would count as stolen. */
  async #resume(
    { request }: GatewayFrame & { type: 'resume' },
    client: RemoteClient,
  ): Promise<ClientSession | undefined> {
    await afterReads();
    return client.gone ? undefined : this.#sessions.resume(request, client);
  }

  #known(error: unknown): CallgateError {
    if (error instanceof CallgateError) return error;
    this.#defect(error);
    return new CallgateError('unavailable');
  }
}

/** A client whose socket is at a gateway. */
class RemoteClient implements SessionClient {
  readonly #stream: number;
  readonly #carrier: Carrier;
  readonly #ended: () => void;
  #session: ClientSession | undefined;
  #gone = false;

  constructor(stream: number, carrier: Carrier, ended: () => void) {
    this.#stream = stream;
    this.#carrier = carrier;
    this.#ended = ended;
  }

  get gone(): boolean {
    return this.#gone;
  }

  send(message: ServerMessage): void {
    if (!this.#gone) this.#carrier.send({ type: 'tell', stream: this.#stream, message });
  }

  close(code: number): void {
    if (this.#gone) return;
    this.#carrier.send({ type: 'shut', stream: this.#stream, code });
    this.#leave();
  }

  opened(session: ClientSession | undefined): void {
    this.#session = session;
    if (this.#gone) session?.lost();
    else if (session) this.#carrier.send({ type: 'opened', stream: this.#stream });
    else this.#leave();
  }

  refused(error: CallgateError): void {
    if (this.#gone) return;
    const { code, message, retryable } = error;
    const elsewhere = error instanceof Elsewhere ? { elsewhere: error.node } : {};
    this.#carrier.send({ type: 'refused', stream: this.#stream, code, message, retryable, ...elsewhere });
    this.#leave();
  }

  said(message: SessionMessage): void {
    this.#session?.receive(message);
  }

  unusable(message: string): void {
    this.#session?.refuse(message);
  }

  lost(): void {
    this.#leave();
    this.#session?.lost();
  }

  #leave(): void {
    this.#gone = true;
    this.#ended();
  }
}

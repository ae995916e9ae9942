import type { Adoption } from './adoption.ts';
import type { ClientSession, OpenRequest, ResumeRequest, SessionClient, Sessions } from './client.ts';
import type { SessionMaker } from './maker.ts';
import type { Opening } from './opening.ts';
import type { SessionRegistry } from './registry.ts';
import { nodeOf } from './tickets.ts';

export interface LocalSessionsDeps {
  /** The id of this process. */
  node: string;
  opening: Opening;
  adoption: Adoption;
  maker: SessionMaker;
  registry: SessionRegistry;
}

/** The sessions of this process. */
export class LocalSessions implements Sessions {
  readonly #deps: LocalSessionsDeps;

  constructor(deps: LocalSessionsDeps) {
    this.#deps = deps;
  }

  async open(request: OpenRequest, client: SessionClient): Promise<ClientSession | undefined> {
    const { opening, maker } = this.#deps;
    const grant = await opening.open(request, client);
    return grant && maker.start(grant, client, request.context);
  }

  async resume(request: ResumeRequest, client: SessionClient): Promise<ClientSession> {
    const { node, adoption, registry } = this.#deps;
    // Whoever asks for a session that is just being adopted waits for it.
    await adoption.underWay(request.sessionId);
    // With the ticket of another node: it may have adopted the session while this one slept, which the store then tells.
    if (nodeOf(request.ticket) !== node) await registry.get(request.sessionId)?.confirm();
    const session = registry.get(request.sessionId);
    return session ? session.resume(request, client) : adoption.adopt(request, client);
  }
}

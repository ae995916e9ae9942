import { hasCode, unspent } from '../errors.ts';
import {
  type ClientSession,
  Elsewhere,
  type OpenRequest,
  type ResumeRequest,
  type SessionClient,
  type Sessions,
} from '../session/client.ts';
import { type Link, LinkBroken } from './link/link.ts';

/** So often a client is passed on from a node to the one that it names. */
const MAX_HOPS = 3;

export interface RoutedSessionsOptions {
  /** Id of this node. */
  node: string;
  /** The sessions of this node. */
  local: Sessions;
  links: {
    to(node: string): Link | undefined;
    /** Those that take new calls, the least busy first. */
    open(): Link[];
  };
  /** Whether it is all the same to a call at which node it is. */
  anywhere(request: OpenRequest): boolean;
}

/** The way to sessions wherever they are: of this node, or at the other end of a link. */
export class RoutedSessions implements Sessions {
  readonly #options: RoutedSessionsOptions;

  constructor(options: RoutedSessionsOptions) {
    this.#options = options;
  }

  async open(request: OpenRequest, client: SessionClient): Promise<ClientSession | undefined> {
    const { local, anywhere } = this.#options;
    try {
      return await local.open(request, client);
    } catch (error) {
      const [first, ...others] = this.#insteadOf(error, anywhere(request));
      if (first === undefined) throw error;
      return this.#openAt(first, others, request, client);
    }
  }

  async resume(request: ResumeRequest, client: SessionClient): Promise<ClientSession> {
    let at = this.#hinted(request.ticket);
    for (let hops = 0; hops < MAX_HOPS; hops++) {
      try {
        return await at.resume(request, client);
      } catch (error) {
        // The ticket is good for another try.
        if (error instanceof LinkBroken) throw unspent('unavailable');
        if (!(error instanceof Elsewhere)) throw error;
        at = this.#linkTo(error);
      }
    }
    throw unspent('unavailable');
  }

  /** Where a call can go that this node has refused: to its room, or to whoever has a place for it. */
  #insteadOf(refusal: unknown, anywhere: boolean): Sessions[] {
    // Once its node is gone the room is at whoever comes first.
    if (refusal instanceof Elsewhere) return [this.#linkTo(refusal), this.#options.local];
    return hasCode(refusal, 'at_capacity') && anywhere ? this.#options.links.open() : [];
  }

  /** A node that died may have burned the token: the same session asks again at another one, once. */
  async #openAt(
    first: Sessions,
    [second]: Sessions[],
    request: OpenRequest,
    client: SessionClient,
  ): Promise<ClientSession | undefined> {
    try {
      return await first.open(request, client);
    } catch (error) {
      if (!(error instanceof LinkBroken) || second === undefined) throw error;
      return second.open(request, client);
    }
  }

  /** Where a ticket says to look first. */
  #hinted(ticket: string): Sessions {
    const [node = ''] = ticket.split('.', 1);
    return this.#options.links.to(node) ?? this.#options.local;
  }

  #linkTo(elsewhere: Elsewhere): Sessions {
    const { node, local, links } = this.#options;
    const at = elsewhere.node === node ? local : links.to(elsewhere.node);
    // It lives, and cannot be reached from here at the moment.
    if (at === undefined) throw elsewhere;
    return at;
  }
}

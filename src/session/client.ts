import { CallgateError } from '../errors.ts';
import type { ServerMessage, SessionMessage, WantedMedia } from '../protocol/messages.ts';
import type { ForeignToken } from '../store/store.ts';
import type { RequestContext } from '../telemetry/audit.ts';

/** Whom a session talks to, wherever its socket is; what is said once it is gone goes nowhere. */
export interface SessionClient {
  /** Whether it has left. */
  readonly gone: boolean;
  send(message: ServerMessage): void;
  close(code: number): void;
}

/** What is asked for is at another node, which lives. Whoever cannot go there tells it as `unavailable`, good for another try. */
export class Elsewhere extends CallgateError {
  readonly node: string;

  constructor(node: string) {
    super('unavailable', { retryable: true });
    this.node = node;
  }
}

/** A `start` whose token is verified and may be presented. */
export interface OpenRequest {
  /** The id of the session to be: asked again with the same one, a burn says the same yes. */
  sessionId: string;
  tokenId: string;
  endpointId: string;
  team: string;
  media: WantedMedia;
  /** Whether the client can follow an offer on a new connection. */
  fresh: boolean;
  /** Certificate that the token is bound to, as `sha-256 AA:BB:…`. */
  fingerprint?: string;
  /** For the token of another issuer, which has no record yet. */
  foreign?: ForeignToken;
  context: RequestContext;
}

/** A `resume` as it came. */
export interface ResumeRequest {
  sessionId: string;
  ticket: string;
  /** Whether the client can follow an offer on a new connection. */
  fresh: boolean;
  origin: string | undefined;
  context: RequestContext;
}

/** What one client has of its session, until another one takes its place. */
export interface ClientSession {
  /** Whether the session has begun to end, or talks to another client; what this one says from then on means nothing. */
  readonly over: boolean;
  /** Sections of the newest offer, which bound the size of an answer. */
  readonly offeredSections: number;
  /** Takes a message of the client. */
  receive(message: SessionMessage): void;
  /** Ends the session over an answer that cannot be used. */
  refuse(message: string): void;
  /** The client is gone. */
  lost(): void;
}

/** The one way to sessions, wherever they live: requests are plain data, and a client stands for its socket. */
export interface Sessions {
  /**
   * Reserves what the call needs, burns its token and begins its session. Resolves to undefined when the client has left before
   * the burn. Nothing before the burn spends the token, and whatever was reserved is released on every way out.
   * @throws {CallgateError} the first refusal in the documented order; {@link Elsewhere} where the call's room is
   */
  open(request: OpenRequest, client: SessionClient): Promise<ClientSession | undefined>;
  /**
   * Gives a client its session back: attaches it where the session lives, or adopts the session.
   * @throws {CallgateError} `session_gone`, `origin_denied`; `unavailable`, `at_capacity` when it may be tried again; {@link Elsewhere}
   * where the session, or its room, is
   */
  resume(request: ResumeRequest, client: SessionClient): Promise<ClientSession>;
}

import type { Endpoint } from '../directory/directory.ts';
import type { CallSpec, Reservation } from '../media/media.ts';
import type { ServerMessage, SessionMessage } from '../protocol/messages.ts';
import type { HeldSession } from '../store/store.ts';
import type { RequestContext } from '../telemetry/audit.ts';

/** Whom a session talks to, wherever its socket is; both are no-ops once it is gone. */
export interface SessionClient {
  send(message: ServerMessage): void;
  close(code: number): void;
}

/** What the burn gave, and what was held for it. */
export interface SessionGrant {
  lease: HeldSession;
  /** Milliseconds until the session expires, counted from now. */
  remainingMs: number;
  /** Epoch milliseconds of the same moment by the store's clock, for people to read. */
  expiresAt: number;
  call: Pick<CallSpec, 'media' | 'fingerprint'> & { endpoint: Endpoint };
  reservation: Reservation;
  /** 256 bits, base64url. */
  ticket: string;
}

/** A session as its client's side sees it. */
export interface ClientSession {
  /** Whether it has begun to end; what the client says from then on means nothing. */
  readonly over: boolean;
  /** Sections of the newest offer, which bound the size of an answer. */
  readonly offeredSections: number;
  /** Takes a message of the client. */
  receive(message: SessionMessage): void;
  /** Ends the session over an answer that cannot be used. */
  refuse(message: string): void;
  /** A client is gone; only that of the present one means anything. */
  lost(client: SessionClient): void;
}

/** Makes the session of a grant and begins it. */
export interface SessionStarter {
  start(grant: SessionGrant, client: SessionClient, context: RequestContext): ClientSession;
}

import type { Logger } from 'pino';
import type { HttpErrorCode } from '../errors.ts';
import type { CallErrorCode, EndReason } from '../protocol/codes.ts';
import type { RedisSource } from '../redis/access.ts';
import { MinuteCount } from '../shared/minute-count.ts';
import { AuditStream } from './audit-stream.ts';

/**
 * What happened to a token or its session, and who did it. Nothing in it is a secret, and what strangers claim is in it
 * only where it has the form of an id.
 */
export interface AuditEvent {
  event:
    | 'mint'
    | 'refresh'
    | 'revoke'
    | 'burn'
    | 'resume'
    | 'rehome'
    | 'adopt'
    | 'leave'
    | 'end'
    | 'hangup'
    | 'refusal';
  team?: string | undefined;
  /** Id of the API key. */
  key_id?: string | undefined;
  endpoint_id?: string | undefined;
  token_id?: string | undefined;
  /** The token that a refresh revoked. */
  replaces?: string | undefined;
  session_id?: string | undefined;
  /** The process that holds the session. */
  node?: string | undefined;
  /** How often the session has been given to a process. */
  epoch?: number | undefined;
  /** Of the HTTP request, or of the one that opened the WebSocket. */
  request_id?: string | undefined;
  /** Address of the client. */
  peer?: string | undefined;
  /** Method and route of what was refused. */
  call?: string | undefined;
  /** Why a session ended. */
  reason?: EndReason | undefined;
  /** Why something was refused. */
  code?: HttpErrorCode | CallErrorCode | undefined;
}

/** Where the presentation of a token comes from: the request that opened the socket, and its address. */
export interface RequestContext {
  request_id: string;
  peer: string;
}

export interface AuditOptions {
  log: Logger;
  /** Where the stream is; without it the log is all there is. */
  redis?: RedisSource | undefined;
  maxLength: number;
  losses: AuditLosses;
}

/** Counts what the audit does not tell. */
export interface AuditLosses {
  /** An event that the stream will never hold. */
  auditDropped(): void;
  /** A refusal that is told nowhere, because there are too many. */
  auditLeftOut(): void;
}

/** Refusals that are told in a minute, of one address and of all. */
const REFUSALS_PER_PEER = 100;
const REFUSALS = 1000;

/**
 * Tells events to the log, and to the stream when there is a Redis; `record` waits for neither and never throws. Anybody can
 * cause refusals: those of a flood are counted and told by one line a minute, so that the log stays readable and the
 * stream, which keeps the newest, keeps what matters.
 */
export class Audit {
  readonly #log: Logger;
  readonly #stream: AuditStream | undefined;
  readonly #warn: (fields: object, message: string) => void;
  readonly #losses: AuditLosses;
  readonly #ofPeer = new MinuteCount(REFUSALS_PER_PEER);
  readonly #ofAll = new MinuteCount(REFUSALS);
  readonly #warnings = new MinuteCount(1);

  constructor({ log, redis, maxLength, losses }: AuditOptions) {
    this.#losses = losses;
    this.#warn = (fields, message) => log.warn(fields, message);
    this.#log = log.child({ audit: true });
    if (redis !== undefined) this.#stream = new AuditStream(redis, { log, maxLength, losses });
  }

  readonly record = (event: AuditEvent): void => {
    if (event.event === 'refusal' && !this.#hasRoom(event.peer ?? '')) return this.#losses.auditLeftOut();
    this.#log.info(event, event.event);
    this.#stream?.add({ time: new Date().toISOString(), ...event });
  };

  #hasRoom(peer: string): boolean {
    const now = performance.now();
    if (this.#ofPeer.record(peer, now) && this.#ofAll.record('', now)) return true;
    if (this.#warnings.record('', now)) {
      this.#warn({ peer }, 'too many refusals: callgate_audit_left_out_total counts those that are not told');
    }
    return false;
  }

  /** Gives the stream a moment to take what is left. */
  async close(): Promise<void> {
    await this.#stream?.close();
  }
}

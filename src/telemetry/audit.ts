import type { Logger } from 'pino';
import type { HttpErrorCode } from '../errors.ts';
import type { CallErrorCode, EndReason } from '../protocol/codes.ts';
import type { RedisSource } from '../tokens/redis/access.ts';
import { AuditStream } from './audit-stream.ts';

/**
 * What happened to a token or its session, and who did it. Nothing in it is a secret, and what strangers claim is in it
 * only where it has the form of an id.
 */
export interface AuditEvent {
  event: 'mint' | 'refresh' | 'revoke' | 'burn' | 'end' | 'refusal';
  team?: string | undefined;
  /** Id of the API key. */
  key_id?: string | undefined;
  endpoint_id?: string | undefined;
  token_id?: string | undefined;
  /** The token that a refresh revoked. */
  replaces?: string | undefined;
  session_id?: string | undefined;
  /** Of the HTTP request, or of the one that opened the WebSocket. */
  request_id?: string | undefined;
  /** Address of whoever asked. */
  peer?: string | undefined;
  /** Method and route of what was refused. */
  call?: string | undefined;
  /** Why a session ended. */
  reason?: EndReason | undefined;
  /** Why something was refused. */
  code?: HttpErrorCode | CallErrorCode | undefined;
}

/** Who presents a token: the request that opened the socket, and where it came from. */
export interface Asker {
  request_id: string;
  peer: string;
}

export interface AuditOptions {
  log: Logger;
  /** Where the stream is; without it the log is all there is. */
  redis?: RedisSource | undefined;
  maxLength: number;
  /** Called for each event that the stream will never hold. */
  onDropped(): void;
}

/** Tells every event to the log, and to the stream when there is a Redis; `record` waits for neither and never throws. */
export class Audit {
  readonly #log: Logger;
  readonly #stream: AuditStream | undefined;

  constructor({ log, redis, maxLength, onDropped }: AuditOptions) {
    this.#log = log.child({ audit: true });
    if (redis !== undefined) this.#stream = new AuditStream(redis, { log, maxLength, onDropped });
  }

  readonly record = (event: AuditEvent): void => {
    this.#log.info(event, event.event);
    this.#stream?.add({ time: new Date().toISOString(), ...event });
  };

  /** Gives the stream a moment to take what is left. */
  async close(): Promise<void> {
    await this.#stream?.close();
  }
}

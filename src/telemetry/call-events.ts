import type { CallErrorCode, EndReason } from '../protocol/codes.ts';
import type { Audit, AuditEvent } from './audit.ts';
import type { Metrics } from './metrics.ts';

/** Whom and what an event is about. */
export type About = Omit<AuditEvent, 'event' | 'code' | 'reason'>;

/** Tells metrics and audit what becomes of starts and of their sessions. */
export class CallEvents {
  readonly #metrics: Metrics;
  readonly #audit: Audit;

  constructor(metrics: Metrics, audit: Audit) {
    this.#metrics = metrics;
    this.#audit = audit;
  }

  /** A `start`, or a `resume`, was refused. */
  refused(code: CallErrorCode, about: About, presented: 'start' | 'resume' = 'start'): void {
    if (presented === 'start') this.#metrics.started(code);
    else this.#metrics.resumed(code);
    this.#audit.record({ event: 'refusal', ...about, code });
  }

  burned(about: About): void {
    this.#metrics.started('burned');
    this.#audit.record({ event: 'burn', ...about });
  }

  /** A client came back to its session. */
  resumed(about: About): void {
    this.#metrics.resumed('attached');
    this.#audit.record({ event: 'resume', ...about });
  }

  /** A client came back to a session whose process is gone, and this one has it from now on. */
  adopted(about: About): void {
    this.#metrics.resumed('adopted');
    this.#audit.record({ event: 'adopt', ...about });
  }

  /** The call of a session is on another worker. */
  rehomed(about: About): void {
    this.#metrics.rehomed();
    this.#audit.record({ event: 'rehome', ...about });
  }

  /** A session was left to the process that has adopted it. */
  left(): void {
    this.#metrics.left();
  }

  /** A session was given up, for any other process to adopt. */
  givenUp(about: About): void {
    this.#audit.record({ event: 'leave', ...about });
  }

  live(sinceBurnMs: number): void {
    this.#metrics.live(sinceBurnMs);
  }

  /** To be called once the end is stored. */
  ended(reason: EndReason, about: About): void {
    this.#metrics.ended(reason);
    this.#audit.record({ event: 'end', ...about, reason });
  }
}

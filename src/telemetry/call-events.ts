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

  refused(code: CallErrorCode, about: About): void {
    this.#metrics.started(code);
    this.#audit.record({ event: 'refusal', ...about, code });
  }

  burned(about: About): void {
    this.#metrics.started('burned');
    this.#audit.record({ event: 'burn', ...about });
  }

  live(sinceBurnMs: number): void {
    this.#metrics.live(sinceBurnMs);
  }

  ended(reason: EndReason, about: About): void {
    this.#metrics.ended(reason);
    this.#audit.record({ event: 'end', ...about, reason });
  }
}

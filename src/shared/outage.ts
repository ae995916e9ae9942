/** The part of a pino logger that an outage is written to. */
export interface OutageLog {
  warn(fields: object, message: string): void;
}

/** A failure that repeats while it lasts: logged once when it begins, and once when it ends, with how long it lasted. */
export class Outage {
  readonly #log: OutageLog;
  readonly #endedMessage: string;
  #since: number | undefined;

  /** `endedMessage` is the line that says that the outage is over. */
  constructor(log: OutageLog, endedMessage: string) {
    this.#log = log;
    this.#endedMessage = endedMessage;
  }

  began(fields: object, message: string): void {
    if (this.#since !== undefined) return;
    this.#since = performance.now();
    this.#log.warn(fields, message);
  }

  ended(fields: object = {}): void {
    if (this.#since === undefined) return;
    this.#log.warn({ ...fields, after_ms: Math.round(performance.now() - this.#since) }, this.#endedMessage);
    this.#since = undefined;
  }
}

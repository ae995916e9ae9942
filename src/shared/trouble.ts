/** The part of a pino logger that troubles are told to. */
export interface TroubleLog {
  warn(fields: object, message: string): void;
}

/** A trouble that is met again and again: told once when it begins, and once when it is over, with how long it lasted. */
export class Trouble {
  readonly #log: TroubleLog;
  readonly #over: string;
  #since: number | undefined;

  /** `over` is the line that says that it is over. */
  constructor(log: TroubleLog, over: string) {
    this.#log = log;
    this.#over = over;
  }

  met(fields: object, message: string): void {
    if (this.#since !== undefined) return;
    this.#since = performance.now();
    this.#log.warn(fields, message);
  }

  over(fields: object = {}): void {
    if (this.#since === undefined) return;
    this.#log.warn({ ...fields, after_ms: Math.round(performance.now() - this.#since) }, this.#over);
    this.#since = undefined;
  }
}

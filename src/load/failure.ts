/** Why a simulated session failed: one code, the very one that the report counts. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly code: string;
  /** What the system said of it, `ECONNRESET` say. */
  override readonly cause: string | undefined;

  constructor(code: string, cause?: string) {
    super(code);
    this.code = code;
    this.cause = cause;
  }
}

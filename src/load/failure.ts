/** Why a simulated session failed: one code, the very one that the report counts. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** How long anything that a session waits for may take. */
export const PATIENCE_MS = 30_000;

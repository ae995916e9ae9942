/** Why a simulated session failed: one code, the very one that the report counts. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

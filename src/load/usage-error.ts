/** A mistake in what was asked for, or a server that a run cannot begin with; told in its one sentence. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

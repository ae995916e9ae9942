import { CallgateError } from '../errors.ts';

/** Never echoes what the client sent: the message goes back to it and to the log. */
export const negotiationFailed = (message: string, cause?: unknown): CallgateError =>
  new CallgateError('negotiation_failed', { message, cause });

import { CallError, type EndReason } from '../client/index.ts';

/** Title and explanation of a call's end. A hang-up stays one even where the server did not hear of it. */
export function endText(reason: EndReason | undefined, error: CallError | undefined): [title: string, text: string] {
  const told = error ?? (reason && new CallError(reason));
  return told ? [reason ?? told.code, told.message] : ['ended', ''];
}

import { CallgateError } from '../errors.ts';
import type { ListPosition } from '../store/store.ts';
import { parseTokenId } from '../tokens/claims.ts';

const FORM = /^(\d{1,16})\.(ct_\w+)$/;

/** A place in the list as clients hand it back; they need not know what it holds. */
export const toCursor = ({ at, id }: ListPosition): string => Buffer.from(`${at}.${id}`).toString('base64url');

/** @throws {CallgateError} `request_malformed` for anything that `toCursor` did not write */
export function readCursor(cursor: string): ListPosition {
  const [, at, id = ''] = FORM.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (at === undefined || !parseTokenId(id)) {
    throw new CallgateError('request_malformed', { message: 'cursor: must be the next_cursor of a page' });
  }
  return { at: Number(at), id };
}

import { randomText } from '../shared/random.ts';
import { parseTokenId } from './claims.ts';

const START_BYTES = 8;
const SESSION_ID = new RegExp(`^sess_([0-9a-f]+_[0-9a-f]+)_[0-9a-f]{${START_BYTES * 2}}$`);

/** A fresh id for the session that a `start` with this token may become; it finds the record of the token by itself. */
export const newSessionId = (tokenId: string): string =>
  `${tokenId.replace(/^ct_/, 'sess_')}_${randomText(START_BYTES, 'hex')}`;

/** The id of the token that a session burned; undefined for what is not the id of a session. */
export function tokenOfSession(sessionId: string): string | undefined {
  const tokenId = `ct_${SESSION_ID.exec(sessionId)?.[1]}`;
  return parseTokenId(tokenId) && tokenId;
}

import { type MediaDescription, parse, type SessionDescription } from 'sdp-transform';

/** What a section says of its streams (RFC 5576 section 4). */
export type DeclaredStreams = Pick<MediaDescription, 'ssrcs' | 'ssrcGroups'>;

export interface ParsedAnswer {
  /** All but the streams. Shared by answers that say the same: not to be changed. */
  session: SessionDescription;
  /** One for each section. */
  streams: DeclaredStreams[];
}

/** What is looked at of that which clients of one kind say alike. */
const SHARED =
  /^(?:m=|a=(?:group|mid|setup|rtcp-mux|rtpmap|fmtp|rtcp-fb|extmap|rid|simulcast|sendrecv|sendonly|recvonly|inactive))/;
const STREAMS = /^(?:m=|a=ssrc)/;

/** With the longest texts about 1 MB, and a few times that for what was parsed. */
const MAX_KEPT = 64;
const MAX_KEPT_LENGTH = 16 * 1024;
const kept = new Map<string, SessionDescription>();

/**
 * Parses the lines of an answer. A browser answers the same offer in the same words, but for its credentials, certificate
 * and SSRCs, and the parser tries its whole grammar on each line: what was said before is not parsed again.
 */
export const parseAnswer = (lines: readonly string[]): ParsedAnswer => ({
  session: parseShared(lines.filter((line) => SHARED.test(line)).join('\n')),
  streams: parse(lines.filter((line) => STREAMS.test(line)).join('\n')).media,
});

const parseShared = (text: string): SessionDescription => {
  const known = kept.get(text);
  if (known !== undefined) return known;
  const session = parse(text);
  if (text.length > MAX_KEPT_LENGTH) return session;
  const [oldest] = kept.keys();
  if (kept.size >= MAX_KEPT && oldest !== undefined) kept.delete(oldest);
  kept.set(text, session);
  return session;
};

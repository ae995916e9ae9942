import type { DtlsRole } from 'mediasoup/types';
import type { MediaDescription, SessionDescription } from 'sdp-transform';
import { maxAnswerBytes } from '../protocol/limits.ts';
import { type AnsweredSection, readSection } from './answered-section.ts';
import { negotiationFailed } from './failed.ts';
import type { OfferedSection } from './offer.ts';
import { parseAnswer } from './parse-answer.ts';

export interface Answer {
  /** SHA-256 of the client's certificate, upper-case hex. */
  fingerprint: string;
  /** The client's DTLS role; undefined where no section, or not all alike, say one. */
  role: Extract<DtlsRole, 'client' | 'server'> | undefined;
  /** One for each offered section, in its order. */
  sections: AnsweredSection[];
}

/** Browsers write about 30 lines for each section, and a full room has a hundred sections. */
const maxAnswerLines = (sections: number): number => Math.max(2000, 48 * sections);

/**
 * Reads an answer that nobody has looked at and checks it against the offer (RFC 3264 section 6, RFC 8843 section 7.3,
 * RFC 8122 section 5, RFC 8842 section 5). Throws `CallgateError('negotiation_failed')` and nothing else.
 */
export const readAnswer = (sdp: string, offered: readonly OfferedSection[]): Answer => {
  const lines = sdp.length <= maxAnswerBytes(offered.length) ? sdp.split(/\r\n|\r|\n/) : undefined;
  if (lines === undefined || lines.length > maxAnswerLines(offered.length)) {
    throw negotiationFailed('the answer is too long');
  }
  const { session, streams } = parseAnswer(lines);
  if (session.media.length !== offered.length) {
    throw negotiationFailed(`the answer has ${session.media.length} media sections, the offer ${offered.length}`);
  }
  const pairs = offered.map((section, index) => ({ section, media: session.media[index] as MediaDescription }));
  const accepted = pairs.filter(({ media }) => media.port !== 0);
  if (accepted.length === 0) throw negotiationFailed('the answer accepts no media section');
  for (const { section, media } of pairs) checkIdentity(section, media);
  checkBundle(session, accepted);
  const sections = pairs.map(({ section, media }, index) => readSection(session, section, media, streams[index]));
  checkSsrcs(sections);
  return { fingerprint: readFingerprint(lines), role: readRole(session, accepted), sections };
};

interface Pair {
  section: OfferedSection;
  media: MediaDescription;
}

const checkIdentity = ({ mid, format }: OfferedSection, media: MediaDescription): void => {
  if (media.type !== format.kind) throw negotiationFailed(`section ${mid} of the answer is of another kind`);
  // sdp-transform makes numbers of what looks like one. Some clients leave the mid out of a rejected section.
  const sameMid = media.mid === undefined ? media.port === 0 : String(media.mid) === mid;
  if (!sameMid) throw negotiationFailed(`section ${mid} of the answer has another mid`);
};

const checkBundle = ({ groups = [] }: SessionDescription, accepted: readonly Pair[]): void => {
  if (accepted.some(({ media }) => media.rtcpMux === undefined)) {
    throw negotiationFailed('the answer does not take rtcp-mux');
  }
  const group = groups.find(({ type }) => type === 'BUNDLE');
  const bundled = new Set(String(group?.mids ?? '').split(' '));
  if (accepted.length > 1 && accepted.some(({ section }) => !bundled.has(section.mid))) {
    throw negotiationFailed('the answer does not bundle all sections');
  }
};

/** mediasoup tells the streams of a transport apart by them. */
const checkSsrcs = (sections: readonly AnsweredSection[]): void => {
  const encodings = sections.flatMap((section) => section.encodings);
  const ssrcs = encodings.flatMap(({ ssrc, rtx }) => [ssrc, rtx?.ssrc]).filter((ssrc) => ssrc !== undefined);
  if (new Set(ssrcs).size < ssrcs.length) throw negotiationFailed('the answer has an SSRC twice');
};

/** From the lines, because sdp-transform keeps only the last fingerprint of each section. */
const readFingerprint = (lines: readonly string[]): string => {
  const found = new Set<string>();
  for (const line of lines) {
    const [, hash] = /^a=fingerprint:sha-256 +(\S+)/i.exec(line) ?? [];
    if (hash !== undefined) found.add(hash.toUpperCase());
  }
  const [fingerprint] = found;
  if (fingerprint === undefined || found.size > 1) {
    throw negotiationFailed('the answer needs one sha-256 fingerprint, the same in all sections');
  }
  if (!/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/.test(fingerprint)) throw negotiationFailed('the fingerprint is malformed');
  return fingerprint;
};

const ROLES: Readonly<Record<string, Answer['role']>> = { active: 'client', passive: 'server' };

/** In a bundle the first section may speak for the others (RFC 8843 section 7.1.3). */
const readRole = (session: SessionDescription, accepted: readonly Pair[]): Answer['role'] => {
  const setups = new Set(accepted.flatMap(({ media }) => media.setup ?? session.setup ?? []));
  const [setup = ''] = setups;
  return setups.size === 1 && Object.hasOwn(ROLES, setup) ? ROLES[setup] : undefined;
};

import { randomInt } from 'node:crypto';
import { randomText } from '../../shared/random.ts';
import { type Direction, type OfferedSection, readOffer, values } from './offer.ts';

/** What stays the same in all answers of one client. */
export interface Identity {
  usernameFragment: string;
  password: string;
  /** Colon-separated octets of the SHA-256 of the certificate. */
  fingerprint: string;
  setup: 'active' | 'passive';
  cname: string;
  /** SSRCs of each section, by MID; made when the section is first answered. */
  ssrcs: Map<string, { media: number; rtx: number }>;
}

export interface AnswerOptions {
  identity?: Identity;
  /** Sections of other kinds are rejected with port 0; all are taken by default. */
  kinds?: readonly string[];
  /** What the client wants to do at most; a section never does more than its offer allows. */
  direction?: Direction;
  /** Simulcast layers, for sections that offer to receive them. */
  rids?: readonly string[];
  /** False leaves the `a=ssrc` lines out. */
  ssrc?: boolean;
}

export const newIdentity = (given: Partial<Identity> = {}): Identity => ({
  usernameFragment: randomText(4, 'hex'),
  password: randomText(16, 'hex'),
  fingerprint: randomText(32, 'hex').toUpperCase().match(/../g)!.join(':'),
  setup: 'active',
  cname: randomText(8, 'hex'),
  ssrcs: new Map(),
  ...given,
});

/**
 * Answers an offer of the server. It mirrors MIDs, payload types, feedback and header extensions, as browsers do (RFC 8829
 * section 5.3.1), and works on the text alone: media flows only if the identity is that of a WebRTC stack.
 */
export const writeAnswer = (offerSdp: string, options: AnswerOptions = {}): string => {
  const offer = readOffer(offerSdp);
  const identity = options.identity ?? newIdentity();
  const taken = offer.sections.filter(({ kind }) => options.kinds?.includes(kind) ?? true);
  const lines = [
    'v=0',
    'o=- 1 2 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    `a=group:BUNDLE ${taken.map(({ mid }) => mid).join(' ')}`,
    ...offer.attributes.filter((line) => line === 'extmap-allow-mixed').map((line) => `a=${line}`),
    ...offer.sections.flatMap((section) => answerSection(section, taken.includes(section), identity, options)),
  ];
  return `${lines.join('\r\n')}\r\n`;
};

/** Whether a section that was answered like this carries media from the client. */
export const sends = (direction: Direction): boolean => direction === 'sendrecv' || direction === 'sendonly';

/** The direction of an answered section, in the client's view. */
export const answerDirection = ({ direction }: OfferedSection, wanted: Direction = 'sendrecv'): Direction => {
  const send = (direction === 'sendrecv' || direction === 'recvonly') && sends(wanted);
  const receive = sends(direction) && (wanted === 'sendrecv' || wanted === 'recvonly');
  if (send) return receive ? 'sendrecv' : 'sendonly';
  return receive ? 'recvonly' : 'inactive';
};

/** The SSRCs that a client uses on a section. */
export const ssrcsOf = ({ ssrcs }: Identity, mid: string): { media: number; rtx: number } => {
  const known = ssrcs.get(mid) ?? { media: randomInt(1, 2 ** 32), rtx: randomInt(1, 2 ** 32) };
  ssrcs.set(mid, known);
  return known;
};

const answerSection = (
  section: OfferedSection,
  taken: boolean,
  identity: Identity,
  options: AnswerOptions,
): string[] => {
  const head = (port: number, formats: readonly string[]) => [
    `m=${section.kind} ${port} ${section.proto} ${formats.join(' ')}`,
    'c=IN IP4 0.0.0.0',
    `a=mid:${section.mid}`,
  ];
  // RFC 8829 section 5.3.1: a rejected m-line has port 0 and at least one format.
  if (!taken) return [...head(0, section.payloadTypes.slice(0, 1)), 'a=inactive'];
  const transport = [
    `a=ice-ufrag:${identity.usernameFragment}`,
    `a=ice-pwd:${identity.password}`,
    `a=fingerprint:sha-256 ${identity.fingerprint}`,
    `a=setup:${identity.setup}`,
  ];
  const media = section.kind === 'application' ? sctp(section) : rtp(section, identity, options);
  return [...head(9, section.payloadTypes), ...transport, ...media];
};

const sctp = (section: OfferedSection): string[] =>
  section.attributes.filter((line) => line.startsWith('sctp-port:')).map((line) => `a=${line}`);

const MIRRORED = ['rtpmap:', 'fmtp:', 'rtcp-fb:', 'rtcp-mux', 'rtcp-rsize'];

const rtp = (section: OfferedSection, identity: Identity, options: AnswerOptions): string[] => {
  const direction = answerDirection(section, options.direction);
  const mirrored = section.attributes.filter((line) => MIRRORED.some((prefix) => line.startsWith(prefix)));
  return [
    `a=${direction}`,
    ...values(section, 'extmap').map((value) => `a=extmap:${turned(value)}`),
    ...mirrored.map((line) => `a=${line}`),
    ...(sends(direction) ? sentStreams(section, identity, options) : []),
  ];
};

/** An extension that the offer receives only is one that the answer sends only (RFC 8285 section 6). */
const turned = (extmap: string): string =>
  extmap.replace(/^([0-9]+)\/(sendonly|recvonly)/, (_, id: string, direction: string) =>
    direction === 'sendonly' ? `${id}/recvonly` : `${id}/sendonly`,
  );

const sentStreams = (section: OfferedSection, identity: Identity, { rids = [], ssrc = true }: AnswerOptions) => {
  const offered = values(section, 'rid').map((value) => value.split(' ')[0]);
  const layers = rids.filter((rid) => offered.includes(rid));
  // Browsers name no SSRC beside rids: the packets carry the RID extension.
  if (layers.length > 0) return [...layers.map((rid) => `a=rid:${rid} send`), `a=simulcast:send ${layers.join(';')}`];
  if (!ssrc) return [];
  const { media, rtx } = ssrcsOf(identity, section.mid);
  const hasRtx = values(section, 'rtpmap').some((value) => value.endsWith(' rtx/90000'));
  const named = hasRtx ? [media, rtx] : [media];
  return [
    `a=msid:${identity.cname} ${section.mid}`,
    ...(hasRtx ? [`a=ssrc-group:FID ${media} ${rtx}`] : []),
    ...named.map((id) => `a=ssrc:${id} cname:${identity.cname}`),
  ];
};

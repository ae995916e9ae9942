import type { DtlsParameters, MediaKind } from 'mediasoup/types';
import { type Answer, readAnswer } from './answer.ts';
import type { AnsweredSection } from './answered-section.ts';
import type { Profile } from './codecs.ts';
import { negotiationFailed } from './failed.ts';
import type { Direction, Format } from './format.ts';
import { type Declaration, type OfferedSection, type TransportDescription, writeOffer } from './offer.ts';

/** A media section of the call, as the next offer writes it; it stays in its place for the life of the call. */
export interface Section {
  readonly mid: string;
  readonly kind: MediaKind;
  /** The caller's own; all others are for the tracks of others, one after the other. */
  readonly own: boolean;
  readonly direction: Direction;
  readonly declaration?: Declaration | undefined;
}

export interface WrittenOffer {
  id: string;
  sdp: string;
  sections: number;
}

export interface NegotiatedAnswer {
  /** The certificate that it showed, as `sha-256 AA:BB:…`. */
  fingerprint: string;
  /** Present on the first answer: what `transport.connect()` needs. */
  dtls?: DtlsParameters;
  sections: (AnsweredSection & { own: boolean })[];
}

interface MutableSection extends Section {
  direction: Direction;
  format: Format;
  declaration?: Declaration | undefined;
  /** Held for a track. */
  taken: boolean;
  /** What the last answer agreed on. */
  answered?: AnsweredSection;
}

interface Outstanding {
  id: string;
  sections: readonly OfferedSection[];
  restart: boolean;
}

/**
 * Offer and answer of one call, without any I/O. The server alone offers, one offer is outstanding at a time, and what
 * changes meanwhile is in the next one, because an offer is written from the sections as they are then.
 */
export class Negotiation {
  readonly #profile: Profile;
  readonly #sections: MutableSection[] = [];
  readonly #newOfferId: () => string;
  /** Version of the session description (RFC 8866 section 5.2). */
  #version = 0;
  #outstanding: Outstanding | undefined;
  /** The certificate of the first answer: mediasoup connects once. */
  #peer: string | undefined;
  readonly #fingerprint: string | undefined;

  /** `fingerprint`: the only certificate that may answer, `sha-256 AA:BB:…`. */
  constructor(profile: Profile, newOfferId: () => string, fingerprint?: string) {
    this.#profile = profile;
    this.#newOfferId = newOfferId;
    this.#fingerprint = fingerprint?.toUpperCase().replace(/^SHA-256 /, '');
  }

  /** Whether an offer waits for its answer. */
  get outstanding(): boolean {
    return this.#outstanding !== undefined;
  }

  /** Whether an offer with new ICE credentials waits for its answer. */
  get restarting(): boolean {
    return this.#outstanding?.restart === true;
  }

  /** Sets the direction of the caller's own section of a kind and makes the section when there is none yet. */
  own(kind: MediaKind, direction: Direction): Section {
    const section = this.#sections.find((candidate) => candidate.own && candidate.kind === kind);
    if (section === undefined) return this.#add(kind, true, direction);
    section.direction = direction;
    return section;
  }

  /** The caller's own section of a kind, if it was ever wanted. */
  ownSection(kind: MediaKind): Section | undefined {
    return this.#sections.find((section) => section.own && section.kind === kind);
  }

  /** What the client last answered on its own sections. */
  get answeredOwn(): AnsweredSection[] {
    return this.#sections.flatMap(({ own, answered }) => (own && answered) || []);
  }

  /** Holds a section for another's track: one that was answered `inactive`, or a new one. `declare` or `free` follows. */
  take(kind: MediaKind): Section {
    const idle = this.#sections.find((candidate) => isIdle(candidate) && candidate.kind === kind);
    const section = idle ?? this.#add(kind, false, 'inactive');
    section.taken = true;
    return section;
  }

  /** The next offer declares this stream on a held section. */
  declare({ mid }: Section, format: Format, declaration: Declaration): void {
    Object.assign(this.#section(mid), { direction: 'sendonly', format, declaration });
  }

  /** The next offer declares the stream that one of the caller's own sections carries back. */
  declareOwn({ mid }: Pick<Section, 'mid'>, declaration: Declaration): void {
    this.#section(mid).declaration = declaration;
  }

  /** The next offer has the section `inactive`; once that is answered another track of the kind can have it. */
  free({ mid }: Section): void {
    const section = this.#section(mid);
    const format = this.#profile.remote[section.kind];
    Object.assign(section, { direction: 'inactive', format, declaration: undefined, taken: false });
  }

  /** Writes the next offer; `restart` tells that the transport has new ICE credentials. */
  offer(transport: TransportDescription, restart = false): WrittenOffer {
    if (this.#outstanding !== undefined) throw new Error('an offer is outstanding');
    const id = this.#newOfferId();
    const sections = this.#sections.map(({ mid, direction, format, declaration }) => {
      return { mid, direction, format, declaration };
    });
    this.#outstanding = { id, sections, restart };
    return { id, sdp: writeOffer(++this.#version, transport, sections), sections: sections.length };
  }

  /**
   * Reads the answer to the outstanding offer; undefined, with nothing looked at, when it answers another one.
   * Throws `CallgateError('negotiation_failed')`.
   */
  answer(id: string, sdp: string): NegotiatedAnswer | undefined {
    if (this.#outstanding?.id !== id) return undefined;
    const answer = readAnswer(sdp, this.#outstanding.sections);
    this.#checkCertificate(answer);
    const dtls = this.#peer === undefined ? dtlsParameters(answer) : undefined;
    this.#peer = answer.fingerprint;
    this.#outstanding = undefined;
    const sections = answer.sections.map((answered) => {
      const section = this.#section(answered.mid);
      section.answered = answered;
      return { ...answered, own: section.own };
    });
    const fingerprint = `sha-256 ${answer.fingerprint}`;
    return dtls ? { fingerprint, dtls, sections } : { fingerprint, sections };
  }

  #checkCertificate({ fingerprint }: Answer): void {
    if (this.#fingerprint !== undefined && this.#fingerprint !== fingerprint) {
      throw negotiationFailed('the session is bound to another certificate');
    }
    if (this.#peer !== undefined && this.#peer !== fingerprint) {
      throw negotiationFailed('a later answer has another fingerprint');
    }
  }

  #add(kind: MediaKind, own: boolean, direction: Direction): MutableSection {
    const format = this.#profile[own ? 'own' : 'remote'][kind];
    // mediasoup writes a MID of at most 8 bytes into its packets.
    const section = { mid: String(this.#sections.length), kind, own, direction, format, taken: false };
    this.#sections.push(section);
    return section;
  }

  #section(mid: string): MutableSection {
    const section = this.#sections[Number(mid)];
    if (section === undefined) throw new Error('no such section');
    return section;
  }
}

const isIdle = ({ own, taken, answered }: MutableSection): boolean =>
  !own && !taken && answered?.direction === 'inactive';

/**
 * The role of the first answer stands for the life of the connection: what a later one says means nothing, because a client
 * to which a later offer says `actpass` again may answer any (Firefox does, in new sections).
 */
const dtlsParameters = ({ fingerprint, role }: Answer): DtlsParameters => {
  if (role === undefined) throw negotiationFailed('the answer needs setup active or passive, the same in all sections');
  return { role, fingerprints: [{ algorithm: 'sha-256', value: fingerprint }] };
};

/** The few things that a simulated client needs of an offer, found line by line: many clients of a load test read many. */

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export interface OfferedSection {
  kind: string;
  /** Transport protocol of the m-line. */
  proto: string;
  mid: string;
  payloadTypes: readonly string[];
  direction: Direction;
  /** Its attributes without `a=`, in order. */
  attributes: readonly string[];
}

export interface Offer {
  /** Attributes of the session without `a=`. */
  attributes: readonly string[];
  sections: readonly OfferedSection[];
}

const DIRECTIONS: ReadonlySet<string> = new Set<Direction>(['sendrecv', 'sendonly', 'recvonly', 'inactive']);

export const readOffer = (sdp: string): Offer => {
  const [session = '', ...media] = sdp.split(/\r?\nm=/);
  return { attributes: attributesOf(session), sections: media.map(readSection) };
};

/** Values of every attribute of this name. */
export const values = ({ attributes }: { attributes: readonly string[] }, name: string): string[] => {
  const prefix = `${name}:`;
  return attributes.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
};

/** The attribute of a section, or else of the session; throws when neither has it. */
export const requiredValue = (offer: Offer, section: OfferedSection, name: string): string => {
  const [value] = [...values(section, name), ...values(offer, name)];
  if (value === undefined) throw new Error(`the offer has no a=${name}`);
  return value;
};

/** Id of a header extension on a section. */
export const extensionId = (section: OfferedSection, uri: string): number | undefined => {
  const line = values(section, 'extmap').find((value) => value.split(' ')[1] === uri);
  return line === undefined ? undefined : Number.parseInt(line, 10);
};

const attributesOf = (text: string): string[] =>
  text
    .split(/\r?\n/)
    .filter((line) => line.startsWith('a='))
    .map((line) => line.slice(2));

const readSection = (text: string): OfferedSection => {
  const [kind = '', , proto = '', ...payloadTypes] = text.slice(0, text.search(/\r|\n|$/)).split(' ');
  const attributes = attributesOf(text);
  const [mid] = values({ attributes }, 'mid');
  if (mid === undefined) throw new Error('a section of the offer has no a=mid');
  const direction = attributes.find((line): line is Direction => DIRECTIONS.has(line)) ?? 'sendrecv';
  return { kind, proto, mid, payloadTypes, direction, attributes };
};

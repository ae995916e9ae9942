import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, Scalar, type YAMLMap } from 'yaml';

/** Values that aliases may stand for, all together; more is taken for an expansion attack. */
const MAX_EXPANDED = 500_000;

/** The aliases up to an offset stand for too much. */
export class ExpansionError extends Error {
  readonly offset: number;

  constructor(offset: number) {
    super('the aliases up to here stand for too much');
    this.offset = offset;
  }
}

/** Notes what is wrong at an offset of the text. */
type Note = (offset: number, message: string) => void;

interface Anchored {
  node: Node;
  /** How many values it holds, with all that its aliases stand for; undefined while it is being read. */
  size: number | undefined;
}

/** A mapping's pairs by key, those of its merge keys among them. */
type Members = Map<string, Pair>;

/**
 * The plain values of a YAML document, and the place of each. In one walk, in time that grows with the text alone: the
 * library's own checks compare every key of a mapping with every other, and look for an anchor in the whole document.
 * Merge keys (`<<`) work as in YAML 1.1. A key without a value counts as absent.
 */
export class YamlValues {
  readonly data: unknown;
  readonly #contents: Node | null;
  readonly #note: Note;
  readonly #anchors = new Map<string, Anchored>();
  readonly #targets = new Map<Node, Node>();
  readonly #members = new Map<Node, Members>();
  #size = 0;
  #expanded = 0;

  /** Mistakes are noted. @throws {ExpansionError} or, when the nesting is too deep, {RangeError} */
  constructor(document: Document.Parsed, note: Note) {
    this.#contents = document.contents;
    this.#note = note;
    this.data = this.#valueOf(document.contents);
  }

  /** The offset of the value at a path, of its key, or of the nearest thing around it. */
  offsetOf(path: readonly (string | number)[], at?: 'key'): number {
    let node: unknown = this.#contents;
    let offset = startOf(node);
    for (const [depth, part] of path.entries()) {
      const target = this.#targetOf(node);
      if (isSeq(target)) node = target.items[Number(part)];
      else if (isMap(target)) {
        const pair = this.#members.get(target)?.get(String(part));
        if (at === 'key' && depth === path.length - 1) return startOf(pair?.key, offset);
        node = pair?.value;
      } else return offset;
      offset = startOf(node, offset);
    }
    return offset;
  }

  #valueOf(node: unknown): unknown {
    this.#size++;
    if (isAlias(node)) return this.#aliased(node as Node & { source: string });
    const anchor = isScalar(node) || isSeq(node) || isMap(node) ? node.anchor : undefined;
    if (anchor === undefined) return this.#plain(node);
    const before = this.#size;
    const anchored: Anchored = { node: node as Node, size: undefined };
    this.#anchors.set(anchor, anchored);
    const value = this.#plain(node);
    anchored.size = this.#size - before + 1;
    return value;
  }

  #plain(node: unknown): unknown {
    if (isScalar(node)) return node.value ?? undefined;
    if (isSeq(node)) return node.items.map((item) => this.#valueOf(item));
    if (isMap(node)) return this.#mapping(node);
    return undefined;
  }

  #aliased(alias: Node & { source: string }): unknown {
    const anchored = this.#anchors.get(alias.source);
    if (anchored?.size === undefined) {
      this.#note(startOf(alias), anchored ? 'is an alias of what it stands in' : 'is an alias of no anchor before it');
      return undefined;
    }
    this.#size += anchored.size;
    this.#expanded += anchored.size;
    if (this.#expanded > MAX_EXPANDED) throw new ExpansionError(startOf(alias));
    this.#targets.set(alias, anchored.node);
    return this.#known(anchored.node);
  }

  #mapping(map: YAMLMap): Record<string, unknown> {
    const members: Members = new Map();
    this.#members.set(map, members);
    const value: Record<string, unknown> = {};
    let merge: Pair | undefined;
    for (const pair of map.items) {
      const isMerge = isMergeKey(pair.key);
      const key = isScalar(pair.key) ? String(pair.key.value) : '';
      const member = this.#valueOf(pair.value);
      if (isMerge ? merge : members.has(key)) this.#note(startOf(pair.key), 'is there twice');
      else if (isMerge) merge = pair;
      else {
        members.set(key, pair);
        assign(value, key, member);
      }
    }
    if (merge) for (const source of this.#sourcesOf(merge)) this.#merge(source, members, value);
    return value;
  }

  /** The mappings that a merge key names; earlier ones go before later ones. */
  #sourcesOf({ key, value }: Pair): YAMLMap[] {
    const target = this.#targetOf(value);
    const sources = isSeq(target) ? target.items.map((item) => this.#targetOf(item)) : [target];
    if (sources.every((source) => isMap(source))) return sources;
    this.#note(startOf(value, startOf(key)), '<<: must be a mapping or a list of mappings');
    return [];
  }

  #merge(source: YAMLMap, members: Members, value: Record<string, unknown>): void {
    for (const [key, pair] of this.#members.get(source) ?? []) {
      if (members.has(key)) continue;
      members.set(key, pair);
      assign(value, key, this.#known(pair.value));
    }
  }

  /** The value of a node that was read before, as one of its own: it is filled with defaults in place. */
  #known(node: unknown): unknown {
    const target = this.#targetOf(node);
    if (isScalar(target)) return target.value ?? undefined;
    if (isSeq(target)) return target.items.map((item) => this.#known(item));
    if (!isMap(target)) return undefined;
    const value: Record<string, unknown> = {};
    for (const [key, pair] of this.#members.get(target) ?? []) assign(value, key, this.#known(pair.value));
    return value;
  }

  #targetOf(node: unknown): unknown {
    return this.#targets.get(node as Node) ?? node;
  }
}

const isMergeKey = (key: unknown): boolean => isScalar(key) && key.value === '<<' && key.type === Scalar.PLAIN;

const startOf = (node: unknown, otherwise = 0): number => (node as Node | null | undefined)?.range?.[0] ?? otherwise;

/** `__proto__` is a key like any other. */
function assign(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

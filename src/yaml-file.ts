import { readFileSync, statSync } from 'node:fs';
import { relative } from 'node:path';
import type { Static, TSchema } from 'typebox';
import type { TLocalizedValidationError } from 'typebox/error';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

/** Largest document that is read, in bytes. */
export const MAX_BYTES = 4 * 1024 * 1024;
/** Aliases that a file may use; more is taken for an expansion attack. */
const MAX_ALIASES = 100;
/** Mistakes that are told at once. */
const MAX_MISTAKES = 100;

/** What an operator got wrong in a file or a variable: every mistake, one a line, never a value that could be a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(mistakes.join('\n'));
    this.mistakes = mistakes;
  }
}

export type Path = readonly (string | number)[];

/** One YAML file and the mistakes found in it. */
export interface YamlFile {
  /** Its plain value. A key without a value counts as absent, so that all lines of a section may be comments. */
  readonly data: unknown;
  /** `file:line:column` of the value at a path, or of the nearest thing around it. */
  where(path: Path): string;
  /** Notes a mistake at a path; `at: 'key'` points at the key instead of its value. */
  mistake(path: Path, message: string, at?: 'key'): void;
  /** The mistakes noted so far, in the order of the file. */
  mistakes(): string[];
}

/**
 * Reads one YAML 1.2 document of bounded size.
 * @throws {ConfigError} when it cannot be read or is not YAML. Duplicate keys are noted as mistakes.
 */
export function readYamlFile(path: string): YamlFile {
  const name = relative(process.cwd(), path) || path;
  return parseYaml(readText(path, name), name);
}

/**
 * Reads one YAML 1.2 document that has been bounded already; its mistakes are told under `name`.
 * @throws {ConfigError} when it is not YAML. Duplicate keys are noted as mistakes.
 */
export function parseYaml(text: string, name: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };

  const notes = [...document.errors, ...document.warnings].map((error) => ({
    offset: error.pos[0],
    text: `${place(error.pos[0])}: ${error.message}`,
  }));
  const isReadable = document.errors.every((error) => error.code === 'DUPLICATE_KEY');
  const mistakes = () =>
    notes
      .sort((a, b) => a.offset - b.offset)
      .slice(0, MAX_MISTAKES)
      .map((note) => note.text);
  if (!isReadable) throw new ConfigError(mistakes());

  return {
    data: plainValue(document, name),
    where: (path) => place(offsetOf(document, path)),
    mistake(path, message, at) {
      const offset = offsetOf(document, path, at);
      const subject = path.length === 0 ? '' : `${formatPath(path)}: `;
      notes.push({ offset, text: `${place(offset)}: ${subject}${message}` });
    },
    mistakes,
  };
}

/**
 * The file's value with the schema's defaults filled in; what does not fit the schema is noted as mistakes, and only
 * without any is the value of the schema's type.
 */
export function fitSchema<S extends TSchema>(file: YamlFile, schema: S): Static<S> {
  const value = Value.Default(schema, file.data ?? {});
  for (const error of allErrors(schema, value)) noteError(file, schema, error);
  return value as Static<S>;
}

/** Something of a file whose own mistakes, if any, are noted already. */
export type Loose = Readonly<Record<string, unknown>>;

const isLoose = (value: unknown): value is Loose => typeof value === 'object' && value !== null;

/** The items of a list that need not be one, each of which need not be of any shape. */
export const listOf = (list: unknown): Loose[] =>
  Array.isArray(list) ? list.map((item) => (isLoose(item) ? item : {})) : [];

/**
 * The text of a file of bounded size, in UTF-8.
 * @throws {ConfigError} when it cannot be read, under `name`
 */
export function readText(path: string, name: string): string {
  try {
    const { size } = statSync(path);
    if (size > MAX_BYTES) throw new Error(`larger than ${MAX_BYTES} bytes`);
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    throw new ConfigError([`${name}: cannot be read: ${(error as Error).message}`]);
  }
}

function plainValue(document: Document.Parsed, name: string): unknown {
  try {
    return document.toJS({
      maxAliasCount: MAX_ALIASES,
      reviver: (_key, value) => (value === null ? undefined : value),
    });
  } catch (error) {
    throw new ConfigError([`${name}: ${(error as Error).message}`]);
  }
}

/** Without the limit of 8 that TypeBox sets on itself; an operator wants to see all of them. */
function allErrors(schema: TSchema, value: unknown): TLocalizedValidationError[] {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: MAX_MISTAKES });
  try {
    return Value.Errors(schema, value);
  } finally {
    Settings.Set({ maxErrors });
  }
}

function noteError(file: YamlFile, schema: TSchema, error: TLocalizedValidationError): void {
  const path = fromPointer(error.instancePath);
  switch (error.keyword) {
    case 'additionalProperties':
      return; // Each of these keys has an error of its own, the next case.
    case 'boolean':
      return file.mistake(path, 'unknown key', 'key');
    case 'required':
      for (const key of error.params.requiredProperties) file.mistake([...path, key], 'is missing');
      return;
    case 'enum':
      return file.mistake(path, `must be one of ${error.params.allowedValues.join(', ')}`);
    case 'pattern': {
      const part = Value.Pointer.Get(schema, error.schemaPath.slice(1)) as { description?: string } | undefined;
      return file.mistake(path, `must be ${part?.description ?? `of the form ${error.params.pattern}`}`);
    }
    default:
      return file.mistake(path, error.message);
  }
}

/** RFC 6901; array indices become numbers. */
const fromPointer = (pointer: string): Path =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~')));

const formatPath = (path: Path): string =>
  path.map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? part : `.${part}`)).join('');

function offsetOf(document: Document.Parsed, path: Path, at?: 'key'): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isSeq(node)) node = (node.items[Number(part)] as Node | undefined) ?? null;
    else if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
      if (at === 'key' && depth === path.length - 1) return (pair?.key as Node | undefined)?.range?.[0] ?? offset;
      node = (pair?.value as Node | undefined) ?? null;
    } else return offset;
    offset = node?.range?.[0] ?? offset;
  }
  return offset;
}

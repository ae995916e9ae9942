import { relative } from 'node:path';
import type { Static, TSchema } from 'typebox';
import type { TLocalizedValidationError } from 'typebox/error';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';
import { LineCounter, parseDocument, type YAMLError } from 'yaml';
import { readTextFile, readTextFileSync } from '../shared/text-file.ts';
import { ExpansionError, YamlValues } from './yaml-values.ts';

/** Largest document that is read, in bytes. */
export const MAX_BYTES = 4 * 1024 * 1024;
/** Mistakes that are told one by one. */
const MAX_TOLD = 20;
/** Misfits to the schema that are looked for; each costs time. */
const MAX_MISFITS = 1000;

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
  const name = nameOf(path);
  return parseYaml(readTextSync(path, name), name);
}

/**
 * Reads one YAML 1.2 document that has been bounded already; its mistakes are told under `name`.
 * @throws {ConfigError} when it is not YAML. Duplicate keys are noted as mistakes.
 */
export function parseYaml(text: string, name: string): YamlFile {
  const notes = new Notes(name);
  try {
    const options = { lineCounter: notes.lines, prettyErrors: false, stringKeys: true, uniqueKeys: false } as const;
    // One schema, whatever a %YAML directive or a tag asks for.
    const document = parseDocument(text, { ...options, schema: 'core', resolveKnownTags: false });
    for (const error of [...document.errors, ...document.warnings]) notes.add(error.pos[0], messageOf(error));
    if (document.errors.length > 0) throw new ConfigError(notes.told());
    const values = new YamlValues(document, (offset, message) => notes.add(offset, message));
    return {
      data: values.data,
      where: (path) => notes.place(values.offsetOf(path)),
      mistake(path, message, at) {
        const subject = path.length === 0 ? '' : `${formatPath(path)}: `;
        notes.add(values.offsetOf(path, at), `${subject}${message}`);
      },
      mistakes: () => notes.told(),
    };
  } catch (error) {
    if (error instanceof ExpansionError) notes.add(error.offset, error.message);
    else if (error instanceof RangeError) notes.add(0, 'is nested too deeply');
    else throw error;
    throw new ConfigError(notes.told());
  }
}

/** The library's own words, but for those that speak of its inside. */
function messageOf({ code, message }: YAMLError): string {
  if (code === 'RESOURCE_EXHAUSTION') return 'is nested too deeply';
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here; only one may be in a file';
  return code === 'NON_STRING_KEY' ? 'a key must be text' : message;
}

/** Mistakes of one file, told in the order of their places; what is told is bounded, and the rest is counted. */
class Notes {
  readonly lines = new LineCounter();
  readonly #name: string;
  readonly #notes: { offset: number; message: string }[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  add(offset: number, message: string): void {
    this.#notes.push({ offset, message });
  }

  place(offset: number): string {
    const { line, col } = this.lines.linePos(offset);
    return `${this.#name}:${line}:${col}`;
  }

  told(): string[] {
    const sorted = this.#notes.toSorted((a, b) => a.offset - b.offset);
    const told = sorted.slice(0, MAX_TOLD).map(({ offset, message }) => `${this.place(offset)}: ${message}`);
    const more = sorted.length - told.length;
    return more === 0
      ? told
      : [...told, `${this.#name}: and ${sorted.length >= MAX_MISFITS ? 'at least ' : ''}${more} more`];
  }
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

/** What messages call a file. */
export const nameOf = (path: string): string => relative(process.cwd(), path) || path;

/**
 * The text of a file of bounded size, in UTF-8.
 * @throws {ConfigError} when it cannot be read, under `name`
 */
export function readTextSync(path: string, name: string): string {
  try {
    return readTextFileSync(path, { name, maxBytes: MAX_BYTES });
  } catch (error) {
    throw asConfigError(error);
  }
}

/** {@link readTextSync} for where calls go on meanwhile. */
export const readText = (path: string, name: string): Promise<string> =>
  readTextFile(path, { name, maxBytes: MAX_BYTES }).catch((error) => {
    throw asConfigError(error);
  });

const asConfigError = (error: unknown): ConfigError => new ConfigError([(error as Error).message]);

/** Without the limit of 8 that TypeBox sets on itself. */
function allErrors(schema: TSchema, value: unknown): TLocalizedValidationError[] {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: MAX_MISFITS });
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

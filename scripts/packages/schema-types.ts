/** As much of a JSON Schema as the project's own have. */
interface Schema {
  description?: string;
  type?: string;
  const?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly Schema[];
  items?: Schema;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: boolean | Schema;
}

/** What restricts a value and not its type. */
const RESTRICTIONS =
  'title description default examples format pattern minLength maxLength minimum maximum minItems maxItems minProperties maxProperties';
const STRUCTURE = 'type const enum anyOf items properties required additionalProperties';
const KNOWN = new Set([...RESTRICTIONS.split(' '), ...STRUCTURE.split(' ')]);

const SIMPLE: Readonly<Record<string, string>> = {
  string: 'string',
  number: 'number',
  integer: 'number',
  boolean: 'boolean',
  null: 'null',
};

/**
 * A declaration file with one type for each schema, so that a package's types need no typebox. Pure.
 * @throws {TypeError} for a schema that says more than this knows
 */
export const declarations = (schemas: Readonly<Record<string, object>>): string =>
  Object.entries(schemas)
    .map(([name, schema]) => `${comment(schema, '')}export type ${name} = ${typeOf(schema)};\n`)
    .join('');

function typeOf(schema: Schema, indent = ''): string {
  const unknown = Object.keys(schema).filter((key) => !KNOWN.has(key));
  if (unknown.length > 0) throw new TypeError(`no type for a schema with ${unknown.join(', ')}`);
  const { const: value, enum: values, anyOf, items, type = '' } = schema;
  if (value !== undefined) return JSON.stringify(value);
  if (values) return values.map((each) => JSON.stringify(each)).join(' | ');
  if (anyOf) return anyOf.map((each) => typeOf(each, indent)).join(' | ');
  if (type === 'array' && items) return `(${typeOf(items, indent)})[]`;
  if (type === 'object') return objectType(schema, indent);
  if (type in SIMPLE) return SIMPLE[type]!;
  return 'unknown';
}

function objectType({ properties = {}, required = [], additionalProperties }: Schema, indent: string): string {
  const inner = `${indent}  `;
  const lines = Object.entries(properties).map(([name, schema]) => {
    const optional = required.includes(name) ? '' : '?';
    const key = /^\w+$/.test(name) ? name : JSON.stringify(name);
    return `${comment(schema, inner)}${inner}${key}${optional}: ${typeOf(schema, inner)};\n`;
  });
  if (lines.length > 0) return `{\n${lines.join('')}${indent}}`;
  return typeof additionalProperties === 'object' ? `Record<string, ${typeOf(additionalProperties, indent)}>` : '{}';
}

const comment = ({ description }: Schema, indent: string): string =>
  description === undefined ? '' : `${indent}/** ${description} */\n`;

import { readFileSync } from 'node:fs';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { declarations } from '../../scripts/packages/schema-types.ts';
import { FROM_SCHEMAS } from '../../scripts/packages/types.ts';
import { ROOT } from '../support/code-blocks.ts';

describe('the types of the packages, written from schemas,', () => {
  it('are those of the schemas', () => {
    const Sample = Type.Object(
      {
        kind: Type.Enum(['a', 'b'], { description: 'Which one.' }),
        'two-words': Type.Optional(Type.Union([Type.Null(), Type.Integer({ minimum: 1 })])),
        list: Type.Array(Type.Object({ id: Type.String() })),
        pairs: Type.Unsafe(Type.Object({}, { additionalProperties: Type.String() })),
        any: Type.Optional(Type.Unknown()),
      },
      { description: 'A sample.' },
    );
    expect(declarations({ Sample })).toBe(`/** A sample. */
export type Sample = {
  /** Which one. */
  kind: "a" | "b";
  "two-words"?: null | number;
  list: ({
    id: string;
  })[];
  pairs: Record<string, string>;
  any?: unknown;
};
`);
  });

  it('are not guessed for a schema that says more', () => {
    expect(() => declarations({ Sample: Type.Object({ some: Type.Record(Type.String(), Type.String()) }) })).toThrow(
      'no type for a schema with patternProperties',
    );
  });

  // What a session hears is the server's own matter.
  it.each(Object.entries(FROM_SCHEMAS))('are there for all that src/%s.ts exports', (file, schemas) => {
    const source = readFileSync(`${ROOT}src/${file}.ts`, 'utf8');
    const types = [...source.matchAll(/^export type (\w+)/gm)].map(([, name]) => name);
    expect(types.filter((name) => name !== 'SessionMessage').toSorted()).toEqual(Object.keys(schemas).toSorted());
  });
});

import { describe, expect, it } from 'vitest';
import { ConfigError, parseYaml } from '../../src/config/yaml-file.ts';

const dataOf = (text: string) => {
  const file = parseYaml(text, 'f.yaml');
  expect(file.mistakes()).toEqual([]);
  return file.data;
};
const mistakesOf = (text: string): readonly string[] => {
  try {
    return parseYaml(text, 'f.yaml').mistakes();
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
};

describe('a YAML file', () => {
  it('may merge a mapping into others, whose own keys go before it', () => {
    expect(dataOf('base: &base { a: 1, b: 2 }\none: { <<: *base, b: 3 }\ntwo:\n  c: 4\n  <<: *base')).toEqual({
      base: { a: 1, b: 2 },
      one: { a: 1, b: 3 },
      two: { a: 1, b: 2, c: 4 },
    });
  });

  it('may merge several, of which the earlier ones go before the later ones, and what was merged itself', () => {
    expect(
      dataOf('a: &a { x: 1 }\nb: &b { <<: *a, y: 2 }\nc: { <<: [*b, { x: 9, z: 3 }] }\nd: { <<: { x: 5 } }'),
    ).toMatchObject({ c: { x: 1, y: 2, z: 3 }, d: { x: 5 } });
  });

  it('may have a key that is called << in quotes', () => {
    expect(dataOf('"<<": { a: 1 }')).toEqual({ '<<': { a: 1 } });
  });

  it('tells what cannot be merged, by its name', () => {
    const expected = [expect.stringMatching(/^f\.yaml:\d:\d+: <<: must be a mapping or a list of mappings$/)];
    expect(mistakesOf('a: { <<: 5 }')).toEqual(expected);
    expect(mistakesOf('a: { <<: }')).toEqual(expected);
    expect(mistakesOf('a: { <<: [{ b: 1 }, 5] }')).toEqual(expected);
    expect(mistakesOf('a: { <<: { b: 1 }, <<: { c: 1 } }')).toEqual(['f.yaml:1:20: is there twice']);
  });

  it('finds the place of what was merged where it is written', () => {
    const file = parseYaml('base: &base\n  port: 1\nhttp:\n  <<: *base\n', 'f.yaml');
    expect(file.where(['http', 'port'])).toBe('f.yaml:2:9');
    file.mistake(['http', 'port'], 'unknown key', 'key');
    expect(file.mistakes()).toEqual(['f.yaml:2:3: http.port: unknown key']);
  });

  it('gives each use of an anchor values of its own', () => {
    const { a, b } = dataOf('a: &a { x: { y: [1] } }\nb: *a') as Record<'a' | 'b', { x: object }>;
    expect(b).toEqual(a);
    expect(b.x).not.toBe(a.x);
  });

  it('may use an anchor thousands of times', () => {
    const data = dataOf(`base: &base { a: 1, b: 2 }\nall:\n${'  - { <<: *base }\n'.repeat(5000)}`) as { all: object[] };
    expect(data.all).toHaveLength(5000);
    expect(data.all.at(-1)).toEqual({ a: 1, b: 2 });
  });

  it.each([
    ['lists', (of: string) => `[${`${of},`.repeat(10)}]`],
    [
      'merged mappings',
      (of: string) => `{ ${Array.from({ length: 10 }, (_, i) => `k${i}: { <<: ${of} }`).join(', ')} }`,
    ],
  ])('refuses aliases that stand for too much, in %s', (_, level) => {
    const levels = Array.from({ length: 9 }, (__, i) => `a${i + 1}: &a${i + 1} ${level(`*a${i}`)}\n`);
    expect(mistakesOf(`a0: &a0 { x: 1 }\n${levels.join('')}`)).toEqual([
      expect.stringMatching(/^f\.yaml:\d+:\d+: the aliases up to here stand for too much$/),
    ]);
  });

  it('refuses an anchor that stands in itself, and an alias of none', () => {
    expect(mistakesOf('a: &a [*a]')).toEqual(['f.yaml:1:8: is an alias of what it stands in']);
    expect(mistakesOf('a: &a { <<: *a }')[0]).toBe('f.yaml:1:13: is an alias of what it stands in');
    expect(mistakesOf('a: *b')).toEqual(['f.yaml:1:4: is an alias of no anchor before it']);
  });

  it('takes no key for a property that every object has', () => {
    expect(Object.keys(dataOf('__proto__: { a: 1 }\nconstructor: 2') as object)).toEqual(['__proto__', 'constructor']);
    expect(mistakesOf('__proto__: 1\n__proto__: 2')).toEqual(['f.yaml:2:1: is there twice']);
  });

  it('reads values in one way, whatever version it says it is of', () => {
    expect(dataOf('%YAML 1.1\n---\na: yes\nb: 010\n')).toEqual({ a: 'yes', b: 10 });
    expect(mistakesOf('a: !!set { b }')).toEqual([expect.stringContaining('Unresolved tag')]);
  });

  it('tells the first twenty mistakes and counts the rest', () => {
    const mistakes = mistakesOf('a: 1\n'.repeat(500));
    expect(mistakes).toHaveLength(21);
    expect(mistakes[0]).toBe('f.yaml:2:1: is there twice');
    expect(mistakes.at(-1)).toBe('f.yaml: and 479 more');
  });

  it('that is nested too deeply is refused like any other', () => {
    for (const deep of ['['.repeat(50_000), `${'['.repeat(50_000)}${']'.repeat(50_000)}`]) {
      expect(mistakesOf(deep)[0]).toMatch(/^f\.yaml:1:\d+: is nested too deeply$/);
    }
  });
});

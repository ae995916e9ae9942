import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  mesonList,
  ninjaFile,
  patches,
  recipeHash,
  translationUnits,
  unitText,
  workerSources,
} from '../../scripts/worker/recipe.mjs';

const upstream = (path: string) => readFileSync(`node_modules/mediasoup/worker/${path}`, 'utf8');

describe('the recipe of mediasoup-worker', () => {
  test('reads lists from meson.build, comments left out', () => {
    expect(mesonList("a = [\n 'x.cpp', # not 'y.cpp'\n 'z.cpp',\n]\nb = ['n']", 'a')).toEqual(['x.cpp', 'z.cpp']);
    expect(() => mesonList('', 'a')).toThrow('no list "a"');
  });

  test('finds every source of the installed version', () => {
    const sources = workerSources({
      meson: upstream('meson.build'),
      libwebrtcMeson: upstream('deps/libwebrtc/meson.build'),
    });
    expect(sources).toContain('src/main.cpp');
    expect(sources).toContain('src/RTC/TransportCongestionControlServer.cpp');
    expect(new Set(sources).size).toBe(sources.length);
    for (const source of sources) expect(upstream(String(source))).not.toBe('');
  });

  test('joins sources that share no file-local name, and loses none', () => {
    const texts: Record<string, string> = {
      'src/a.cpp': '\tstatic int counter{ 0 };\n',
      'src/b.cpp': 'void b() {}\nstatic void onRead(int x)',
      'src/same.cpp': '\talignas(4) static thread_local int counter[2];',
      'src/macro.cpp': '#define LIMIT 4',
      'src/c.cpp': 'void c() {}',
      'deps/d.cc': 'void d() {}',
    };
    const units = translationUnits(Object.keys(texts), (path: string) => texts[path]);
    expect(new Set(units)).toEqual(
      new Set([['src/a.cpp', 'src/b.cpp', 'src/c.cpp'], ['src/same.cpp'], ['src/macro.cpp'], ['deps/d.cc']]),
    );
    expect(unitText(['/a.cpp'])).toBe('#include "/a.cpp"\n#undef MS_CLASS\n');
  });

  test.each(Object.entries(patches))(
    'corrects %s of the installed version once, and refuses any other text',
    (path, patch) => {
      const patched = patch(upstream(path));
      expect(patched).not.toBe(upstream(path));
      expect(() => patch(patched)).toThrow('not found exactly once');
      expect(() => patch('')).toThrow('not found exactly once');
    },
  );

  test('writes paths with spaces so that ninja and the shell read them back', () => {
    const text = ninjaFile({
      units: [{ source: '/my src/a.cpp', object: '/o.o' }],
      includes: ["/it's here"],
      abseil: [],
      output: '/worker',
      littleEndian: true,
    });
    expect(text).toContain('build /o.o: compile /my$ src/a.cpp');
    expect(text).toContain(`-I'/it'\\''s here'`);
  });

  test('has a name that every change of its files changes', () => {
    expect(recipeHash(['ab', 'c'])).not.toBe(recipeHash(['a', 'bc']));
    expect(recipeHash(['ab'])).toBe(recipeHash(['ab']));
  });
});

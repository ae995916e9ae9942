import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PAGES, ROOT } from '../support/code-blocks.ts';

/** Paths of the repository, as the pages write them in backticks. */
const PATHS = /`((?:src|test|scripts|config|docs)\/[\w./-]*)`/g;
/** `symbol` in `file`, and `file` (`symbol`). */
const NAMED = [/`([A-Za-z]\w*)` in `(src\/[\w./-]+)`/g, /`(src\/[\w./-]+)`\)? \(`([A-Za-z]\w*)`\)/g] as const;
const LINKS = /\]\(([^)#:]*)(?:#([^)]+))?\)/g;

/** What GitHub makes of a heading. */
const anchorsOf = (path: string): string[] =>
  [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

describe.each(PAGES)('%s', (page) => {
  const text = readFileSync(ROOT + page, 'utf8');

  it('names files and folders that are there', () => {
    const paths = [...text.matchAll(PATHS)].map(([, path = '']) => path);
    expect(paths.filter((path) => !existsSync(ROOT + path))).toEqual([]);
  });

  it('names what these files hold', () => {
    const [symbolFirst, fileFirst] = NAMED;
    const named = [
      ...[...text.matchAll(symbolFirst)].map(([, symbol = '', file = '']) => [file, symbol] as const),
      ...[...text.matchAll(fileFirst)].map(([, file = '', symbol = '']) => [file, symbol] as const),
    ];
    const holds = (file: string, symbol: string) =>
      new RegExp(`\\b${symbol}\\b`).test(readFileSync(ROOT + file, 'utf8'));
    expect(named.filter(([file, symbol]) => !holds(file, symbol))).toEqual([]);
  });

  it('links to pages and headings that are there', () => {
    const folder = page.includes('/') ? `${ROOT}docs/` : ROOT;
    const broken = [...text.matchAll(LINKS)].filter(([, path = '', anchor]) => {
      const target = path === '' ? ROOT + page : folder + path;
      return !existsSync(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });
});

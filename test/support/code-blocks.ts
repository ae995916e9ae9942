import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface CodeBlock {
  /** File and line, to be found again. */
  place: string;
  language: string;
  code: string;
}

/** The fenced code blocks of a page, in their order; one in a list without its indentation. */
export const codeBlocksOf = (file: string): CodeBlock[] => {
  const text = readFileSync(ROOT + file, 'utf8');
  return [...text.matchAll(/^( *)```(\w*)\n(.*?)^\1```$/gms)].map(([block, indent = '', language = '', code = '']) => ({
    place: `${file}:${text.slice(0, text.indexOf(block)).split('\n').length}`,
    language,
    code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
};

/** The pages of docs/. */
export const DOCS: readonly string[] = readdirSync(`${ROOT}docs`).flatMap((name) =>
  name.endsWith('.md') ? [`docs/${name}`] : [],
);

/** All pages that people read. */
export const PAGES: readonly string[] = ['README.md', 'CONTRIBUTING.md', ...DOCS];

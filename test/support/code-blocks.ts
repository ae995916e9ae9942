import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface CodeBlock {
  /** File and line, to be found again. */
  place: string;
  language: string;
  code: string;
}

/** The fenced code blocks of the README and of docs/, in their order. */
export function codeBlocks(): CodeBlock[] {
  const docs = readdirSync(`${ROOT}docs`).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.map((name) => `docs/${name}`)].flatMap((file) => {
    const text = readFileSync(ROOT + file, 'utf8');
    return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
      place: `${file}:${text.slice(0, match.index).split('\n').length}`,
      language: match[1] ?? '',
      code: match[2] ?? '',
    }));
  });
}

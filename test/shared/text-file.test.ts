import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTextFile, readTextFileSync, TextFileError } from '../../src/shared/text-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-text-'));
});
afterAll(() => rm(folder, { recursive: true }));

const utf16 = (text: string) => Buffer.from(text, 'utf16le');
const swapped = (text: string) => utf16(text).swap16();

const reads = [
  ['at once', async (path: string, maxBytes: number) => readTextFileSync(path, { maxBytes })],
  ['in pieces', (path: string, maxBytes: number) => readTextFile(path, { maxBytes })],
] as const;

describe.each(reads)('a text file that is read %s', (_, read) => {
  const path = () => join(folder, 'file');
  const of = (bytes: Buffer | string, maxBytes = 100_000) => {
    writeFileSync(path(), bytes);
    return read(path(), maxBytes);
  };
  const refusal = (name: string, what: string) => new TextFileError(`${name}: ${what}`);

  it('may begin with a byte order mark, which is none of the text', async () => {
    expect(await of('\uFEFFschön')).toBe('schön');
    expect(await of('schön')).toBe('schön');
    expect(await of('')).toBe('');
  });

  it.each([
    ['UTF-16 with its mark', utf16('\uFEFFteams: []')],
    ['UTF-16 of the other byte order', swapped('\uFEFFteams: []')],
    ['UTF-16 without a mark', utf16('teams: []')],
    ['that of the other byte order', swapped('teams: []')],
  ])('that is %s is told so, with what to do', async (__, bytes) => {
    await expect(of(bytes)).rejects.toThrow(refusal(path(), 'is UTF-16; save it as UTF-8'));
  });

  it('in another encoding is told so, and nothing of it is', async () => {
    await expect(of(Buffer.from('schön', 'latin1'))).rejects.toThrow(refusal(path(), 'is not UTF-8; save it as UTF-8'));
  });

  it('is as large as allowed and not a byte larger, also where it has no end', async () => {
    expect(await of('x'.repeat(70_000), 70_000)).toHaveLength(70_000);
    await expect(of('x'.repeat(70_001), 70_000)).rejects.toThrow(refusal(path(), 'is larger than 70000 bytes'));
    await expect(read('/dev/zero', 70_000)).rejects.toThrow(refusal('/dev/zero', 'is larger than 70000 bytes'));
  });

  it('that is not there or a folder is named once', async () => {
    await expect(read('/nonexistent', 1)).rejects.toThrow(
      refusal('/nonexistent', 'cannot be read: ENOENT: no such file or directory'),
    );
    await expect(read(folder, 1)).rejects.toThrow(
      refusal(folder, 'cannot be read: EISDIR: illegal operation on a directory'),
    );
  });
});

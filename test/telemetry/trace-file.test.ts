import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { TraceFile } from '../../src/telemetry/trace-file.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-trace-'));
});
afterAll(() => rm(folder, { recursive: true }));

const opened = async (path: string) => {
  const warnings: string[] = [];
  const seen = { dropped: 0, warnings };
  const log = { warn: (_: object, message?: string) => void warnings.push(message ?? '') };
  const traceDropped = (lines: number) => {
    seen.dropped += lines;
  };
  const file = await TraceFile.open(path, { log, losses: { traceDropped } });
  onTestFinished(() => file.close());
  return { file, seen };
};

const lines = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);

it('keeps what is in the file, and makes a new one for its owner alone', async () => {
  const path = join(folder, 'kept.jsonl');
  const first = await opened(path);
  first.file.append('1\n');
  await first.file.close();
  const second = await opened(path);
  second.file.append('2\n');
  await second.file.close();
  expect(lines(path)).toEqual(['1', '2']);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

it('goes on in a new line where the last one was cut, and only there', async () => {
  const path = join(folder, 'cut.jsonl');
  writeFileSync(path, '1\n{"at":"20');
  for (const line of ['2\n', '3\n']) {
    const { file } = await opened(path);
    file.append(line);
    await file.close();
  }
  expect(readFileSync(path, 'utf8')).toBe('1\n{"at":"20\n2\n3\n');
});

it('goes on in a new line of a file that took its place, also when there was nothing to write at first', async () => {
  const path = join(folder, 'replaced.jsonl');
  const { file } = await opened(path);
  renameSync(path, `${path}.1`);
  writeFileSync(path, 'cut');
  file.reopen();
  await delay(50);
  file.append('1\n');
  await expect.poll(() => readFileSync(path, 'utf8')).toBe('cut\n1\n');
  expect(readFileSync(`${path}.1`, 'utf8')).toBe('');
});

it('writes without being closed', async () => {
  const path = join(folder, 'soon.jsonl');
  const { file } = await opened(path);
  file.append('1\n');
  await expect.poll(() => lines(path)).toEqual(['1']);
});

it('goes on in a new file after a rotation, with every line in one of the two', async () => {
  const path = join(folder, 'rotated.jsonl');
  const { file, seen } = await opened(path);
  file.append('1\n');
  await expect.poll(() => lines(path)).toEqual(['1']);
  renameSync(path, `${path}.1`);
  file.append('2\n');
  file.reopen();
  await expect.poll(() => statSync(path, { throwIfNoEntry: false })?.mode).toBeDefined();
  file.append('3\n');
  await file.close();
  expect([...lines(`${path}.1`), ...lines(path)]).toEqual(['1', '2', '3']);
  expect(lines(path)).toContain('3');
  expect(seen).toEqual({ dropped: 0, warnings: [] });
});

it('keeps the old file when the new one cannot be opened', async () => {
  const path = join(folder, 'gone', 'trace.jsonl');
  execFileSync('mkdir', [join(folder, 'gone')]);
  const { file, seen } = await opened(path);
  renameSync(join(folder, 'gone'), join(folder, 'moved'));
  file.reopen();
  file.append('1\n');
  await expect.poll(() => lines(join(folder, 'moved', 'trace.jsonl'))).toEqual(['1']);
  expect(seen.warnings).toEqual([expect.stringContaining('cannot be opened again (ENOENT)')]);
});

it.each([
  ['a folder', () => folder, 'EISDIR'],
  ['a folder that is not there', () => join(folder, 'nowhere', 'trace.jsonl'), 'ENOENT'],
])('cannot be opened at %s, and says so in a sentence', async (_, path, code) => {
  await expect(opened(path())).rejects.toThrow(`trace must be the path of a file that can be written (${code})`);
});

it('drops the newest lines of a full disk, counts them, and warns once', async () => {
  const { file, seen } = await opened('/dev/full');
  file.append('1\n');
  await expect.poll(() => seen.warnings).toEqual([expect.stringContaining('cannot be written (ENOSPC); 1 lines wait')]);
  for (let i = 0; i < 10_100; i++) file.append('2\n');
  expect(seen.dropped).toBe(100);
  await file.close();
  expect(seen.dropped).toBe(10_101);
  expect(seen.warnings).toHaveLength(1);
});

it('waits for a slow disk without blocking anybody, and has all lines whole and in order when it moves again', async () => {
  // A pipe that nobody empties takes 64 KiB.
  const path = join(folder, 'slow');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => closeSync(reader));
  const { file, seen } = await opened(path);
  const sent = Array.from({ length: 2000 }, (_, i) => `${i} ${'x'.repeat(100)}`);
  for (const line of sent) file.append(`${line}\n`);
  await setImmediate();
  file.append('last\n');
  let received = '';
  const read = (): string => {
    const chunk = Buffer.alloc(65_536);
    try {
      received += chunk.toString('utf8', 0, readSync(reader, chunk));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
    }
    return received;
  };
  await expect.poll(read, { interval: 5, timeout: 10_000 }).toMatch(/last\n$/);
  expect(received).toBe(`${[...sent, 'last'].join('\n')}\n`);
  expect(seen).toEqual({ dropped: 0, warnings: [] });
});

it('does not hold up a stop, whatever the disk does', async () => {
  const path = join(folder, 'stuck');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const { file, seen } = await opened(path);
  for (let i = 0; i < 2000; i++) file.append(`${'x'.repeat(100)}\n`);
  await file.close();
  expect(seen.dropped).toBeGreaterThan(0);
  expect(seen.warnings).toEqual([expect.stringContaining('lines are dropped')]);
  // Ends the write that hangs.
  closeSync(reader);
});

it('takes nothing after its end', async () => {
  const path = join(folder, 'ended.jsonl');
  const { file, seen } = await opened(path);
  await file.close();
  file.append('1\n');
  expect(readFileSync(path, 'utf8')).toBe('');
  expect(seen.dropped).toBe(1);
});

import { mkdir, mkdtemp, open as openFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/yaml-file.ts';
import { FileDirectory } from '../../src/directory/file-directory.ts';
import type { LoadOutcome } from '../../src/directory/live.ts';

const tenants = (team: string): string => `teams: [{ id: ${team} }]\n`;

let folder: string;
let path: string;
let directory: FileDirectory;
let outcomes: LoadOutcome[];
let warnings: string[];
let errors: { file?: string; message: string; mistakes?: readonly string[] }[];

const open = () =>
  new FileDirectory(path, {
    info: () => undefined,
    warn: (_, message) => warnings.push(message),
    error: (fields, message) => errors.push({ ...fields, message }),
  });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-directory-'));
  path = join(folder, 'tenants.yaml');
  outcomes = [];
  errors = [];
  warnings = [];
  await writeFile(path, tenants('before'));
  directory = open();
  await directory.follow((outcome) => outcomes.push(outcome));
});
afterEach(async () => {
  await directory.close();
  await rm(folder, { recursive: true });
});

const knows = (team: string) =>
  expect.poll(() => directory.current.team(team)?.id, { timeout: 10_000, interval: 20 }).toBe(team);
const told = (count: number) => expect.poll(() => outcomes.length, { timeout: 10_000, interval: 20 }).toBe(count);

describe('the directory of a file', () => {
  it('follows a file that is written in place, again and again', async () => {
    await writeFile(path, tenants('one'));
    await knows('one');
    await writeFile(path, tenants('two'));
    await knows('two');
    expect(directory.current.team('before')).toBeUndefined();
    expect(outcomes).toEqual(['loaded', 'loaded']);
  });

  it('says of each version without any API key that nobody can mint', async () => {
    expect(warnings).toEqual([expect.stringContaining('nobody can mint')]);
    const key = `{ id: backend, sha256: ${'a'.repeat(64)}, scopes: [CREATE_CALL_TOKEN] }`;
    await writeFile(path, `teams: [{ id: one, api_keys: [${key}] }]`);
    await knows('one');
    expect(warnings).toHaveLength(1);
  });

  it('follows an editor that renames a new file over the old one', async () => {
    for (const team of ['one', 'two']) {
      await writeFile(`${path}~`, tenants(team));
      await rename(`${path}~`, path);
      await knows(team);
    }
  });

  it('follows a link that is turned to another file, as mounts of configuration do', async () => {
    await writeFile(join(folder, 'v2'), tenants('linked'));
    await symlink('v2', `${path}~`);
    await rename(`${path}~`, path);
    await knows('linked');
  });

  it('follows a folder of links that is turned as a whole, as a mounted ConfigMap is', async () => {
    const mounted = join(folder, 'mounted');
    await mkdir(join(mounted, '..v1'), { recursive: true });
    await mkdir(join(mounted, '..v2'));
    await writeFile(join(mounted, '..v1', 'tenants.yaml'), tenants('first'));
    await writeFile(join(mounted, '..v2', 'tenants.yaml'), tenants('second'));
    await symlink('..v1', join(mounted, '..data'));
    await symlink('..data/tenants.yaml', join(mounted, 'tenants.yaml'));
    await directory.close();
    path = join(mounted, 'tenants.yaml');
    directory = open();
    await directory.follow((outcome) => outcomes.push(outcome));
    await symlink('..v2', join(mounted, '..data~'));
    await rename(join(mounted, '..data~'), join(mounted, '..data'));
    await knows('second');
  });

  it('says once that a file mounted by itself was replaced underneath, and what to mount instead', async () => {
    await directory.close();
    const file = await openFile(path);
    // Leads to the file itself, whatever becomes of its name, as a mount of one file does.
    const named = path;
    path = `/proc/self/fd/${file.fd}`;
    directory = open();
    await directory.follow((outcome) => outcomes.push(outcome));
    expect(errors).toEqual([]);
    await writeFile(`${named}~`, tenants('new'));
    await rename(`${named}~`, named);
    await expect.poll(() => errors.length, { timeout: 10_000, interval: 20 }).toBe(1);
    await told(1);
    expect(errors).toEqual([{ file: path, message: expect.stringContaining('mount its folder instead') }]);
    expect(directory.current.team('before')?.id).toBe('before');
    await file.close();
  });

  it('keeps the version before a broken one, says every mistake once, and takes the mended one', async () => {
    await writeFile(path, 'teams:\n  - id: a b\n    colour: red\n');
    await told(1);
    expect(outcomes).toEqual(['refused']);
    expect(errors).toHaveLength(1);
    expect(errors[0]?.mistakes).toEqual([
      expect.stringMatching(/tenants\.yaml:2:9: teams\[0\]\.id: must be /),
      expect.stringMatching(/tenants\.yaml:3:5: teams\[0\]\.colour: unknown key/),
    ]);
    expect(directory.current.team('before')?.id).toBe('before');
    await writeFile(path, tenants('mended'));
    await knows('mended');
    expect(errors).toHaveLength(1);
  });

  it('survives a file that is made to break its reader', async () => {
    await writeFile(path, '['.repeat(20_000));
    await told(1);
    expect(outcomes).toEqual(['refused']);
    expect(directory.current.team('before')?.id).toBe('before');
  });

  it('keeps its version while the file is away', async () => {
    await unlink(path);
    await told(1);
    expect(errors[0]?.mistakes).toEqual([expect.stringMatching(/tenants\.yaml: cannot be read/)]);
    expect(directory.current.team('before')?.id).toBe('before');
    await writeFile(path, tenants('back'));
    await knows('back');
  });

  it('reads the file at once when asked to, changed or not', async () => {
    await directory.reload();
    expect(outcomes).toEqual(['loaded']);
    await writeFile(path, tenants('asked'));
    await directory.reload();
    expect(directory.current.team('asked')?.id).toBe('asked');
  });

  it('cannot begin with a broken file', async () => {
    await writeFile(path, '[');
    expect(open).toThrow(ConfigError);
  });
});

import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { distributionName, notInstalled } from '../../scripts/distribution.mjs';
import { fingerprint, installed } from '../../scripts/setup.mjs';
import { prebuiltName } from '../../scripts/worker/prebuilt.mjs';

describe('the stale check', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'callgate-'));
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'sub/page.ts'), 'a');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  test('sees a changed, an added and a removed file', () => {
    const first = fingerprint([folder]);
    expect(fingerprint([folder])).toBe(first);
    utimesSync(join(folder, 'sub/page.ts'), 1, 1);
    const touched = fingerprint([folder]);
    expect(touched).not.toBe(first);
    writeFileSync(join(folder, 'other.ts'), '');
    expect(fingerprint([folder])).not.toBe(touched);
    rmSync(join(folder, 'other.ts'));
    expect(fingerprint([folder])).toBe(touched);
  });

  test('takes a path that does not exist', () => {
    expect(fingerprint([join(folder, 'absent')])).not.toBe(fingerprint([]));
  });
});

describe("npm's record of what is installed", () => {
  const lock = {
    packages: {
      '': {},
      'node_modules/a': { version: '1.0.0', integrity: 'x' },
      'node_modules/b': { version: '2.0.0', optional: true },
    },
  };

  test('agrees with the lock file, optional packages or not', () => {
    expect(installed(lock, { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'x' } } })).toBe(true);
  });

  test.each([
    ['is missing', undefined],
    ['lacks a package', { packages: {} }],
    ['has another version', { packages: { 'node_modules/a': { version: '1.0.1', integrity: 'x' } } }],
    [
      'has a package too many',
      { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'x' }, 'node_modules/c': { version: '1.0.0' } } },
    ],
  ])('does not agree when it %s', (_, record) => {
    expect(installed(lock, record)).toBe(false);
  });
});

test('the prebuilt worker has the name of the release asset', () => {
  const version = '3.27.1';
  expect(prebuiltName({ version, platform: 'linux', arch: 'x64', release: '6.1.0-9-amd64' })).toBe(
    'mediasoup-worker-3.27.1-linux-x64-kernel6',
  );
  expect(prebuiltName({ version, platform: 'darwin', arch: 'arm64', release: '24.0.0' })).toBe(
    'mediasoup-worker-3.27.1-darwin-arm64',
  );
});

test('a distribution is named by its id and release', () => {
  expect(distributionName('PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n')).toBe('debian12');
  expect(distributionName('')).toBe('');
});

test('a package counts as installed only when dpkg says so', () => {
  expect(notInstalled(['a', 'b', 'c'], 'a installed\nb config-files\n')).toEqual(['b', 'c']);
});

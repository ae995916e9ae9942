import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { expect, it } from 'vitest';
import { createApiKey } from '../../src/mint/api-keys.ts';

const callgate = (input: string, ...args: string[]) =>
  spawnSync(process.execPath, ['src/cli.ts', ...args], { input, encoding: 'utf8' });

it('callgate keys hash prints what the tenants file keeps of a key, and never the key', () => {
  const { key, sha256 } = createApiKey('backend');
  const { stdout, stderr, status } = callgate(`${key}\n`, 'keys', 'hash');
  expect({ stdout, stderr, status }).toEqual({ stdout: `${sha256}\n`, stderr: '', status: 0 });
});

it('callgate keys hash refuses what is no key, without repeating it', () => {
  const { stdout, stderr, status } = callgate('not-a-key-but-a-secret', 'keys', 'hash');
  expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
  expect(stderr).toMatch(/no API key/);
  expect(stderr).not.toContain('not-a-key');
});

it('callgate keys create prints a key whose hash stands in the line for the tenants file', () => {
  const { stdout, status } = callgate('', 'keys', 'create', 'backend');
  const [key] = /cgk_backend_\S+/.exec(stdout) ?? [''];
  expect(status).toBe(0);
  expect(stdout).toContain(hash('sha256', key, 'hex'));
});

it.each([
  ['serve', []],
  ['keys hash', ['keys', 'hash']],
  ['keys create', ['keys', 'create']],
  ['directory show', ['directory', 'show']],
])('callgate %s does not repeat a key that is given as an argument', (_, args) => {
  const { key } = createApiKey('backend');
  const { stderr, status } = callgate('', ...args, key);
  expect(status).toBe(1);
  expect(stderr).toContain('cgk_…');
  expect(stderr).not.toContain(key.slice(0, 20));
});

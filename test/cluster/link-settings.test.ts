import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { linkAddresses, readClusterSecret } from '../../src/cluster/link-settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'callgate-secret-'));
afterAll(() => rmSync(folder, { recursive: true }));
const settings = { listen: '127.0.0.1:0', tls: {}, plain_text: false };
const secretOf = (text: string) => {
  const path = join(folder, 'secret');
  writeFileSync(path, text);
  return readClusterSecret({ ...settings, secret_file: path });
};

it('the secret of the cluster is read without the line end and the mark that editors put around it', () => {
  expect(secretOf(`\uFEFF${'s'.repeat(44)}\r\n`)).toBe('s'.repeat(44));
  expect(readClusterSecret(settings)).toBeUndefined();
});

it.each(['', '\n', 'short'])(
  'a file that holds no secret (%j) is refused by its name, without a word of it',
  (text) => {
    expect(() => secretOf(text)).toThrow(/secret: a secret has at least 22 characters/);
  },
);

it.each([
  ['127.0.0.1:0', undefined, '127.0.0.1:7000', true],
  ['[::1]:0', undefined, '[::1]:7000', true],
  ['0.0.0.0:7000', 'gate-1.example:7001', 'gate-1.example:7001', false],
  ['[fd00::5]:7000', undefined, '[fd00::5]:7000', false],
])('who listens on %s, with the address %s, is dialled at %s', (listen, address, announced, onMachine) => {
  const addresses = linkAddresses({ ...settings, listen, ...(address !== undefined && { address }) });
  expect(addresses.announced(7000)).toBe(announced);
  expect(addresses.onMachine).toBe(onMachine);
});

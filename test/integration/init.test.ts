import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { exposedSecrets } from '../../src/config/secret-files.ts';
import { loadTenants } from '../../src/directory/tenants.ts';
import { loadSigningKeys } from '../../src/tokens/keys.ts';

const run = promisify(execFile);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-init-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const init = (...args: string[]) => run(process.execPath, ['src/cli.ts', 'init', ...args]);
const KEY = /cgk_backend_[\w-]{43}/g;

describe('callgate init', () => {
  it('makes settings that start a server, with a key of its own that may mint', async () => {
    const { stdout, stderr } = await init(join(folder, 'gate'));
    expect(stderr).toBe('');
    const settings = /CALLGATE_CONFIG=(\S+),/.exec(stdout)![1]!;
    expect(settings).toBe(join(folder, 'gate/callgate.yaml'));

    const { config, demo, secretFiles } = loadConfig({ CALLGATE_CONFIG: settings });
    expect(demo).toBe(false);
    expect((await loadSigningKeys(config.tokens.signing_keys!)).verifying.size).toBe(1);
    const [key] = stdout.match(KEY)!;
    const tenants = loadTenants(config.tenants!);
    expect(tenants.apiKey('backend')!.sha256.toString('hex')).toBe(hash('sha256', key!));
    expect(tenants.apiKey('backend')!.scopes).toEqual(new Set(['CREATE_CALL_TOKEN', 'READ_CALL_TOKEN']));
    expect(tenants.endpoint('ep_echo')).toMatchObject({ team: tenants.apiKey('backend')!.team, webrtc: true });

    expect((await stat(config.tokens.signing_keys!)).mode & 0o777).toBe(0o600);
    expect(await exposedSecrets(secretFiles)).toEqual([]);
  });

  it('shows the API key once and writes it nowhere', async () => {
    const { stdout } = await init(folder);
    expect(stdout.match(KEY)).toHaveLength(1);
    for (const file of await readdir(folder)) {
      const text = await readFile(join(folder, file), 'utf8');
      expect(text.match(KEY)).toBeNull();
      expect(text).not.toContain('of the demo');
    }
  });

  it.each(['signing-keys.json', 'tenants.yaml', 'callgate.yaml'])(
    'overwrites no %s, and then writes nothing',
    async (file) => {
      await writeFile(join(folder, file), 'mine');
      const failed = await init(folder).catch((error: object) => error);
      expect(failed).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringContaining(`${file} is already there`),
      });
      expect(await readdir(folder)).toEqual([file]);
      expect(await readFile(join(folder, file), 'utf8')).toBe('mine');
    },
  );
});

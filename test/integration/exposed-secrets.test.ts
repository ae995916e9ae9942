import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createKeySet } from '../../src/tokens/keys.ts';
import { ServerProcess } from '../support/server-process.ts';

it('a start warns of signing keys that others on the machine can read, by name and with what to run', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-exposed-'));
  const keys = join(folder, 'keys.json');
  await writeFile(keys, JSON.stringify(await createKeySet('EdDSA')));
  const warnings = async (mode: number) => {
    await chmod(keys, mode);
    const env = { CALLGATE_TENANTS: 'config/tenants.yaml', CALLGATE_SIGNING_KEYS: keys };
    const server = await ServerProcess.start({ env });
    await server.stop();
    return server.log.map(({ msg }) => String(msg)).filter((msg) => msg.includes('others on this machine'));
  };
  expect(await warnings(0o644)).toEqual([
    `others on this machine can read ${keys}: chmod o-rwx ${keys} (Kubernetes: defaultMode 0440)`,
  ]);
  expect(await warnings(0o440)).toEqual([]);
  await rm(folder, { recursive: true });
});

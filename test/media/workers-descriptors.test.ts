import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const STARVED_POOL = fileURLToPath(new URL('../support/starved-pool.ts', import.meta.url));

it('a worker that dies while no descriptor is free is replaced once there is one, and calls on others go on', async () => {
  const command = ['-c', 'ulimit -n 200; exec "$0" "$@"', process.execPath, STARVED_POOL];
  const { stdout } = await promisify(execFile)('sh', command, { timeout: 25_000 });
  expect(JSON.parse(stdout)).toEqual({ meanwhile: { workers: 1, transports: 1, ready: true } });
}, 30_000);

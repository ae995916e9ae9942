import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server?.stop());

describe('a caller without a DOM', { timeout: 60_000 }, () => {
  it('hears and sees itself come back, and hangs up', async () => {
    const { id, ws_url, endpoint_id, token } = await server.mint('ep_echo');
    const phone = fileURLToPath(new URL('../support/phone.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [phone, ws_url, endpoint_id, token], {
      timeout: 50_000,
    });
    expect(JSON.parse(stdout)).toEqual({ errors: [], end: { reason: 'completed' } });
    expect(await server.read(id)).toMatchObject({ status: 'completed' });
  });
});

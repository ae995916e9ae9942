import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server?.stop());

const PROGRAM = fileURLToPath(new URL('../support/phone.ts', import.meta.url));

const phone = async (...args: string[]): Promise<unknown> => {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...args], { timeout: 50_000 });
  return JSON.parse(stdout);
};

describe('a caller without a DOM', { timeout: 60_000 }, () => {
  it('hears and sees itself come back, and hangs up', async () => {
    const { id, ws_url, endpoint_id, token } = await server.mint('ep_echo');
    expect(await phone(ws_url, endpoint_id, token)).toEqual({ errors: [], reason: 'completed' });
    expect(await server.read(id)).toMatchObject({ status: 'completed' });
  });

  it('comes back when its socket is cut, and hears and sees itself again', async () => {
    const { id, ws_url, endpoint_id, token } = await server.mint('ep_echo');
    expect(await phone(ws_url, endpoint_id, token, 'cut')).toEqual({
      errors: [],
      reason: 'completed',
      states: ['reconnecting', 'live', 'ending', 'ended'],
    });
    expect(await server.read(id)).toMatchObject({ status: 'completed', session: { end_reason: 'completed' } });
  });

  it('outlives an address that refuses it, with an error that says what to check', async () => {
    const nobody = createServer();
    await once(nobody.listen(0, '127.0.0.1'), 'listening');
    const { port } = nobody.address() as AddressInfo;
    nobody.close();
    for (const url of [`ws://127.0.0.1:${port}/`, `${server.wsUrl}/nothing`, server.wsUrl.replace('ws:', 'wss:')]) {
      const end = { errors: [], code: 'network_error', message: expect.stringMatching(/could not be opened: check/) };
      expect(await phone(url, 'ep_echo', 'x')).toEqual(end);
    }
  });

  it('hangs up while it connects', async () => {
    const silent = createServer();
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const { port } = silent.address() as AddressInfo;
    expect(await phone(`ws://127.0.0.1:${port}/`, 'ep_echo', 'x', 'hangup')).toEqual({
      errors: [],
      reason: 'completed',
    });
    silent.close();
  });
});

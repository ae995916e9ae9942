import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { refuseRequest } from '../../src/http/problems.ts';
import { HttpServers } from '../../src/http/servers.ts';

const CAP = 3;
const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

describe('the connections of an address', () => {
  let server: Server;
  /** Requests that are being served, to be answered by the test. */
  const waiting: ServerResponse[] = [];
  const clients: Client[] = [];

  class Client {
    text = '';
    readonly #socket: Socket;

    constructor(port: number) {
      this.#socket = connect(port, '127.0.0.1');
      this.#socket.on('error', () => {});
      this.#socket.on('data', (data) => {
        this.text += data;
      });
      clients.push(this);
    }

    get open(): boolean {
      return !this.#socket.destroyed;
    }

    write(text: string): this {
      this.#socket.write(text);
      return this;
    }

    /** By a reset: whoever merely sends no more still waits for an answer. */
    async close(): Promise<void> {
      if (this.open) await once(this.#socket.resetAndDestroy(), 'close');
    }
  }

  const start = async ({ limit_loopback = true, trusted_proxies = 0 } = {}): Promise<number> => {
    const { config } = loadConfig({});
    const admission = { ...config.admission, sockets_per_address: CAP, limit_loopback };
    const servers = new HttpServers({ admission, http: { ...config.http, trusted_proxies } }, { warn: () => {} });
    server = servers.create({}, { handle: (_, response) => void waiting.push(response), refuse: refuseRequest });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
    waiting.length = 0;
  });

  const count = (): Promise<number> => new Promise((resolve) => server.getConnections((_, n) => resolve(n)));
  const served = async (port: number): Promise<Client> => {
    const client = new Client(port).write(GET);
    await expect.poll(() => waiting.length).toBe(1);
    waiting.pop()!.end('done');
    await expect.poll(() => client.text).toContain('done');
    return client;
  };

  it('are capped: the oldest that only waits for another request goes first', async () => {
    const port = await start();
    const busy = new Client(port).write(GET);
    await expect.poll(() => waiting.length).toBe(1);
    const answer = waiting.pop()!;
    const idle: Client[] = [];
    for (let i = 0; i < 20; i++) idle.push(await served(port));
    await expect.poll(count).toBe(CAP);
    await expect.poll(() => idle.filter(({ open }) => open)).toEqual(idle.slice(1 - CAP));
    answer.end('late');
    await expect.poll(() => busy.text).toContain('late');
  });

  it('hear why when all are busy, and are served again when one ends', async () => {
    const port = await start();
    const busy = [1, 2, 3].map(() => new Client(port).write(GET));
    await expect.poll(() => waiting.length).toBe(CAP);
    const refused = new Client(port).write(GET);
    await expect.poll(() => refused.open).toBe(false);
    expect(refused.text).toMatch(/^HTTP\/1\.1 429 /);
    expect(refused.text).toMatch(/\r\nretry-after: 5\r\n/);
    expect(refused.text).toMatch(/\r\nconnection: close\r\n/i);
    expect(refused.text).toContain('"code":"rate_limited"');
    expect(waiting).toHaveLength(CAP);
    await busy[0]!.close();
    await expect.poll(count).toBe(CAP - 1);
    waiting.length = 0;
    await served(port);
  });

  it('are cut off at once far beyond the cap, although they never say anything', async () => {
    const port = await start();
    for (let i = 0; i < CAP + 150; i++) new Client(port);
    await expect.poll(() => clients.filter(({ open }) => !open).length, { timeout: 5000 }).toBe(50);
    expect(await count()).toBe(CAP + 100);
  });

  it.each([
    ['loopback', { limit_loopback: false }],
    ['the proxies in front', { trusted_proxies: 1 }],
  ])('are not capped for %s', async (_, options) => {
    const port = await start(options);
    for (let i = 0; i < 5 * CAP; i++) new Client(port).write(GET);
    await expect.poll(() => waiting.length).toBe(5 * CAP);
  });
});

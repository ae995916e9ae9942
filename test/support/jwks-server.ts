import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A real server of a JWK set on loopback, which can be slow, too large, elsewhere or broken. */
export class JwksServer {
  readonly url: string;
  requests = 0;
  atOnce = 0;
  maxAtOnce = 0;
  /** What it answers; the set, unless a test says otherwise. */
  answer: (response: ServerResponse) => void = (response) => response.end(JSON.stringify(this.set));
  set: { keys: object[] };
  readonly #server: Server;

  static async start(keys: object[]): Promise<JwksServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new JwksServer(server, keys);
  }

  private constructor(server: Server, keys: object[]) {
    this.#server = server;
    this.set = { keys };
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
    server.on('request', (_, response) => {
      this.requests += 1;
      this.atOnce += 1;
      this.maxAtOnce = Math.max(this.maxAtOnce, this.atOnce);
      response.on('close', () => {
        this.atOnce -= 1;
      });
      this.answer(response);
    });
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A TCP proxy that cuts connections at random: before a request goes on (the server never sees it), or after it went on
 * (the server acts, its reply is lost). Or all of them, when it is told.
 */
export class CuttingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Probability that a chunk ends its connection instead of passing. */
  chance = 0;
  cuts = 0;
  /** Nothing passes, and nobody is told. */
  deaf = false;
  #port = 0;

  private constructor(target: number) {
    this.#server = createServer((client) => this.#join(client, connect(target, '127.0.0.1')));
  }

  static async start(target: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    proxy.#port = (proxy.#server.address() as AddressInfo).port;
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Refuses every new connection; those that are open stay. */
  refuse(): void {
    this.#server.close();
  }

  /** Ends every connection, and refuses new ones until `mend`. */
  cut(): void {
    this.refuse();
    for (const socket of this.#sockets) socket.destroy();
  }

  async mend(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, upstream: Socket): void {
    this.#pass(client, upstream);
    this.#pass(upstream, client);
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (chunk) => {
      if (this.deaf) return;
      if (Math.random() >= this.chance) return void to.write(chunk);
      this.cuts++;
      from.destroy();
      to.destroy();
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

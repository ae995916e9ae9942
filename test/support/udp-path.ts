import { createSocket, type Socket } from 'node:dgram';
import type { AddressInfo } from 'node:net';

type Direction = 'up' | 'down';

/** A UDP path between one client and the server that its offer names, which may lose RTP packets. */
export class UdpPath {
  /** Whether to lose the next RTP packet of a direction; `n` counts them, from 0. */
  loses: (direction: Direction, n: number) => boolean = () => false;
  readonly lost = { up: 0, down: 0 };
  readonly #passed = { up: 0, down: 0 };
  readonly #client: Socket;
  readonly #server: Socket;
  #from: AddressInfo | undefined;

  /** Opens a path, and the offer with its address in place of all of the server's. */
  static async open(offerSdp: string): Promise<{ path: UdpPath; sdp: string }> {
    const [, ip = '', port = ''] = /a=candidate:\S+ 1 udp \d+ (\S+) (\d+)/.exec(offerSdp) ?? [];
    const path = new UdpPath();
    await new Promise<void>((resolve) => path.#client.bind(0, '127.0.0.1', resolve));
    await new Promise<void>((resolve) => path.#server.connect(Number(port), ip, resolve));
    const own = (path.#client.address() as AddressInfo).port;
    const sdp = offerSdp.replace(/a=candidate:.+\r\n/g, (line) =>
      line.includes(`${ip} ${port} typ`) ? line.replace(`${ip} ${port}`, `127.0.0.1 ${own}`) : '',
    );
    return { path, sdp };
  }

  private constructor() {
    this.#client = createSocket('udp4');
    this.#server = createSocket('udp4');
    this.#client.on('message', (packet, { address, port, family }) => {
      this.#from = { address, port, family };
      if (!this.#drops('up', packet)) this.#server.send(packet);
    });
    this.#server.on('message', (packet) => {
      if (!this.#drops('down', packet)) this.inject(packet);
    });
  }

  /** Sends the client a datagram, as from the server. */
  inject(packet: Buffer): void {
    if (this.#from !== undefined) this.#client.send(packet, this.#from.port, this.#from.address);
  }

  async close(): Promise<void> {
    for (const socket of [this.#client, this.#server]) await new Promise<void>((resolve) => socket.close(resolve));
  }

  #drops(direction: Direction, packet: Buffer): boolean {
    const rtp = packet[0]! >> 6 === 2 && (packet[1]! < 192 || packet[1]! > 223);
    if (!rtp || !this.loses(direction, this.#passed[direction]++)) return false;
    this.lost[direction]++;
    return true;
  }
}

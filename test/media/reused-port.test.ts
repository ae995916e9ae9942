import { createSocket, type Socket } from 'node:dgram';
import { realpathSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RtcPeer } from '../../src/peer/rtc-peer.ts';
import { TestServer } from '../support/server.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

const worker = process.env.MEDIASOUP_WORKER_BIN ?? 'node_modules/mediasoup/worker/out/Release/mediasoup-worker';
/** The worker that mediasoup's releases carry lacks the corrections of `scripts/worker/recipe.mjs`. */
const corrected = !realpathSync(worker).includes('/upstream-');

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.stop());

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

/** A path to the server's media port from one port, for one client after the other. */
class Path {
  readonly #near: Socket = createSocket('udp4');
  readonly #far: Socket = createSocket('udp4');
  #client = 0;

  static async open(): Promise<Path> {
    const path = new Path();
    await Promise.all(
      [path.#near, path.#far].map((socket) => new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))),
    );
    open.push(path);
    return path;
  }

  /** The offer with this path in place of the server. */
  detour(sdp: string): string {
    const [, port = ''] = /a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)/.exec(sdp) ?? [];
    this.#near.removeAllListeners('message').on('message', (packet, from) => {
      this.#client = from.port;
      this.#far.send(packet, Number(port), '127.0.0.1');
    });
    this.#far
      .removeAllListeners('message')
      .on('message', (packet) => this.#near.send(packet, this.#client, '127.0.0.1'));
    const own = this.#near.address().port;
    return sdp.replace(/a=candidate:.+\r\n/g, (line) =>
      line.includes(` udp `) && line.includes(`127.0.0.1 ${port} `) ? line.replace(` ${port} `, ` ${own} `) : '',
    );
  }

  close(): void {
    this.#near.close();
    this.#far.close();
  }
}

interface Caller {
  socket: TestSocket;
  peer: RtcPeer;
  answer(): Promise<void>;
}

const callOver = async (path: Path): Promise<Caller> => {
  const { token } = await server.mint('ep_audio');
  const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_audio', token });
  const offer = await socket.expect('offer');
  const peer = await RtcPeer.create({ kinds: ['audio'] });
  open.push(peer, { close: () => socket.close() });
  const answer = async () =>
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: await peer.answer(path.detour(offer.sdp)) });
  return { socket, peer, answer };
};

/** Answers, and waits until media comes back. */
const talk = async ({ socket, peer, answer }: Caller): Promise<void> => {
  await answer();
  await socket.skipTo('live');
  peer.startSending();
  await peer.firstPacket;
};

describe('a client whose address and port', () => {
  it.runIf(corrected)('are those of a call that is still up, and whose client is gone, gets its own call', async () => {
    const path = await Path.open();
    const first = await callOver(path);
    await talk(first);
    await first.peer.close();
    await talk(await callOver(path));
    expect(first.socket.messages.filter(({ type }) => type === 'ended')).toEqual([]);
  });

  it('are those of a call that has just been hung up gets its own call', async () => {
    const path = await Path.open();
    for (let i = 0; i < 5; i++) {
      const caller = await callOver(path);
      await talk(caller);
      caller.socket.send({ type: 'hangup' });
      await caller.peer.close();
    }
  });
});

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Media } from '../../src/peer/index.ts';
import { createPeer } from '../../src/peer/index.ts';
import type { Peer } from '../../src/peer/peer.ts';
import { RtcPeer } from '../../src/peer/rtc-peer.ts';
import { TestServer } from '../support/server.ts';
import { UdpPath } from '../support/udp-path.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

let server: TestServer;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

afterAll(() => server.stop());

interface Call<P extends Peer = Peer> {
  peer: P;
  socket: TestSocket;
}

const start = async (endpoint: string): Promise<{ socket: TestSocket; offer: { offer_id: string; sdp: string } }> => {
  const { token } = await server.mint(endpoint);
  const socket = await startCall(server.wsUrl, { endpoint_id: endpoint, token });
  open.push({ close: () => socket.close() });
  return { socket, offer: await socket.expect('offer') };
};

const call = async (media: Media, endpoint = 'ep_echo'): Promise<Call> => {
  const { socket, offer } = await start(endpoint);
  const peer = await createPeer(media);
  open.push(peer);
  socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: await peer.answer(offer.sdp) });
  return { peer, socket };
};

/** Answers whatever is offered from now on, until the socket closes. */
const follow = async ({ peer, socket }: Call): Promise<void> => {
  for (;;) {
    const offer = await socket.skipTo('offer').catch(() => undefined);
    if (offer === undefined) return;
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: await peer.answer(offer.sdp) });
  }
};

const until = (assertion: () => void) => vi.waitFor(assertion, { timeout: 20_000, interval: 20 });

/** Stops sending, and waits for what was under way: the first packets may reach the server before it gives them back. */
const drained = async (peer: Peer) => {
  peer.stopSending();
  await until(() => expect(peer.silentMs).toBeGreaterThan(500));
  return peer.packets();
};

describe('a peer at the echo', () => {
  it.each(['audio', 'audio+video'] as const)('gets every packet of its %s back', async (media) => {
    const { peer } = await call(media);
    await peer.firstPacket;
    await until(() => expect(peer.packets().sent).toBeGreaterThan(100));
    const { sent, received, lost } = await drained(peer);
    expect(lost).toBe(0);
    // The first packets may reach the server before it has the consumer.
    expect(received).toBeGreaterThan(sent - 10);
    expect(received).toBeLessThanOrEqual(sent);
  });

  it('sends nothing before it is connected, and stays still without media', async () => {
    const { peer } = await call('none');
    const { peer: other } = await call('audio');
    expect(other.packets()).toEqual({ sent: 0, received: 0, lost: 0 });
    await other.firstPacket;
    expect(peer.packets()).toEqual({ sent: 0, received: 0, lost: 0 });
  });

  it('goes on over an ICE restart', async () => {
    const session = await call('audio');
    void follow(session);
    await session.peer.firstPacket;
    session.socket.send({ type: 'restart_ice' });
    await until(() => expect(session.socket.messages.filter(({ type }) => type === 'offer')).toHaveLength(2));
    const before = session.peer.packets().received;
    await until(() => expect(session.peer.packets().received).toBeGreaterThan(before + 20));
    expect((await drained(session.peer)).lost).toBe(0);
  });

  it('refuses what it cannot answer', async () => {
    const peer = await createPeer('audio');
    open.push(peer);
    await expect(peer.answer('v=0\r\n')).rejects.toThrow('takes none of the offered sections');
    await expect(peer.answer('v=0\r\nm=audio 7 UDP/TLS/RTP/SAVPF 100\r\na=mid:a\r\n')).rejects.toThrow('a=fingerprint');
  });
});

describe('peers in a room', () => {
  it('hear each other', async () => {
    const sessions = [await call('audio', 'ep_room'), await call('audio', 'ep_room')];
    for (const session of sessions) void follow(session);
    for (const { peer } of sessions) await peer.firstPacket;
    await until(() => {
      for (const { peer } of sessions) expect(peer.packets().received).toBeGreaterThan(50);
    });
    for (const { peer } of sessions) expect(peer.packets().lost).toBe(0);
  });
});

describe('a peer behind a path of its own', () => {
  const lossyCall = async (loses: UdpPath['loses'], options: { kinds: string[] }) => {
    const { socket, offer } = await start('ep_echo');
    const { path, sdp } = await UdpPath.open(offer.sdp);
    path.loses = loses;
    const peer = await RtcPeer.create(options);
    open.push(peer, path);
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: await peer.answer(sdp) });
    await peer.connected;
    peer.startSending();
    return { peer, path };
  };

  it('counts those that the server sent in vain', async () => {
    const { peer, path } = await lossyCall((direction, n) => direction === 'down' && n % 20 === 10, {
      kinds: ['audio'],
    });
    await until(() => expect(path.lost.down).toBeGreaterThanOrEqual(10));
    await until(() => expect(peer.packets().lost).toBe(path.lost.down));
    const { received, lost } = peer.packets();
    expect(lost / (received + lost)).toBeCloseTo(0.05, 1);
  });

  it('passes over what somebody else sends, whatever it looks like', async () => {
    const { peer, path } = await lossyCall(() => false, { kinds: ['audio'] });
    await peer.firstPacket;
    const counted = vi.fn();
    peer.onPacket = counted;
    for (const first of [0, 1, 20, 22, 64, 0x80, 0x9f, 0xff]) {
      for (const second of [0, 1, 100, 0x80 | 100, 200, 205, 206]) {
        for (const length of [0, 1, 2, 12, 20, 40, 200]) {
          path.inject(Buffer.alloc(length, Buffer.of(first, second, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1)));
        }
      }
    }
    await until(() => expect(counted.mock.calls.length).toBeGreaterThan(50));
    const { sent, received, lost } = await drained(peer);
    expect(lost).toBe(0);
    expect(received).toBeLessThanOrEqual(sent);
  });

  it('sends those again that the server missed', async () => {
    const { peer, path } = await lossyCall((direction, n) => direction === 'up' && n % 20 === 10, {
      kinds: ['audio', 'video'],
    });
    await until(() => expect(path.lost.up).toBeGreaterThanOrEqual(10));
    await until(() => expect(peer.retransmitted).toBeGreaterThanOrEqual(10));
    await until(() => expect(peer.packets().lost).toBeLessThanOrEqual(1));
  });
});

describe('peers that are closed', () => {
  it('leave no timer and no socket', async () => {
    const held = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name === 'UDPWrap').length;
    const { offer } = await start('ep_echo');
    const before = held();
    const peers = await Promise.all(Array.from({ length: 50 }, () => createPeer('audio+video')));
    for (const peer of peers) await peer.answer(offer.sdp);
    expect(held()).toBeGreaterThanOrEqual(before + 50);
    await Promise.all(peers.map((peer) => peer.close()));
    await until(() => expect(held()).toBeLessThanOrEqual(before));
  });

  it('leave nothing of a call either, in the middle of the handshake or after it', async () => {
    const held = () => process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length;
    const before = held();
    const warned = vi.spyOn(console, 'warn');
    for (let i = 0; i < 6; i++) {
      const { peer } = await call('audio');
      if (i % 2 === 0) await peer.firstPacket;
      await peer.close();
    }
    await until(() => expect(held()).toBe(before));
    // Of hooks into werift that do not take.
    expect(warned).not.toHaveBeenCalled();
  });
});

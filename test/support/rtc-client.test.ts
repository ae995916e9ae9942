import { setTimeout as delay } from 'node:timers/promises';
import * as mediasoup from 'mediasoup';
import type { Router, RouterRtpCodecCapability, WebRtcTransport, Worker } from 'mediasoup/types';
import sdpTransform from 'sdp-transform';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { rawOffer } from './raw-offer.ts';
import { RtcClient, type RtcClientOptions } from './rtc-client.ts';

const mediaCodecs: RouterRtpCodecCapability[] = [
  { kind: 'audio', mimeType: 'audio/opus', clockRate: 48_000, channels: 2, preferredPayloadType: 100 },
  { kind: 'video', mimeType: 'video/VP8', clockRate: 90_000, preferredPayloadType: 101 },
];

let worker: Worker;
let router: Router;
const clients: RtcClient[] = [];

beforeAll(async () => {
  worker = await mediasoup.createWorker();
  router = await worker.createRouter({ mediaCodecs });
});

afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

afterAll(async () => {
  const ended = new Promise<void>((resolve) => worker.once('subprocessclose', resolve));
  worker.close();
  await ended;
});

const makeTransport = (): Promise<WebRtcTransport> =>
  router.createWebRtcTransport({ listenInfos: [{ protocol: 'udp', ip: '127.0.0.1' }] });

const call = async (transport: WebRtcTransport, options?: RtcClientOptions): Promise<RtcClient> => {
  const client = await RtcClient.answer(rawOffer(transport, router), options);
  clients.push(client);
  const { media } = sdpTransform.parse(client.answerSdp);
  const { fingerprint, setup } = media[0]!;
  await transport.connect({
    dtlsParameters: {
      role: setup === 'active' ? 'client' : 'server',
      fingerprints: [{ algorithm: 'sha-256', value: fingerprint!.hash }],
    },
  });
  return client;
};

/** Sends everything that the client's answer promises back to it. */
const echo = async (transport: WebRtcTransport, client: RtcClient): Promise<void> => {
  const { codecs = [], headerExtensions = [] } = router.rtpCapabilities;
  for (const { type, mid, ssrcs, port } of sdpTransform.parse(client.answerSdp).media) {
    if (port === 0 || ssrcs === undefined) continue;
    const kind = type === 'audio' ? 'audio' : 'video';
    const producer = await transport.produce({
      kind,
      rtpParameters: {
        mid: String(mid),
        codecs: codecs
          .filter((codec) => codec.kind === kind)
          .map(({ preferredPayloadType, ...codec }) => ({ ...codec, payloadType: preferredPayloadType })),
        headerExtensions: headerExtensions
          .filter((extension) => extension.kind === kind && extension.uri.endsWith('sdes:mid'))
          .map(({ uri, preferredId }) => ({ uri, id: preferredId })),
        encodings: [{ ssrc: Number(ssrcs[0]!.id) }],
      },
    });
    await transport.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities, mid: String(mid) });
  }
};

const counted = (assertion: () => void) => vi.waitFor(assertion, { timeout: 15_000, interval: 20 });

describe('the WebRTC client', () => {
  it.each(['active', 'passive'] as const)(
    'connects as the %s side and hears its own audio and video',
    async (setup) => {
      const transport = await makeTransport();
      const client = await call(transport, { setup });
      await echo(transport, client);
      await client.connected;
      client.startSending();
      await counted(() => {
        expect(client.received.audio).toBeGreaterThan(20);
        expect(client.received.video).toBeGreaterThan(10);
      });
      expect(client.receivedOn('0')).toBeGreaterThan(20);
      expect(client.receivedOn('1')).toBeGreaterThan(10);
      expect(transport.dtlsState).toBe('connected');
    },
  );

  it('stops sending when told', async () => {
    const transport = await makeTransport();
    const client = await call(transport);
    await echo(transport, client);
    await client.connected;
    client.startSending();
    await counted(() => expect(client.received.audio).toBeGreaterThan(5));
    client.stopSending();
    const received = async () => (await transport.getStats())[0]!.rtpBytesReceived;
    await vi.waitFor(
      async () => {
        const before = await received();
        await delay(5 * 20);
        expect(await received()).toBe(before);
      },
      { timeout: 15_000 },
    );
  });

  it('leaves out the kinds that it does not take', async () => {
    const transport = await makeTransport();
    const client = await call(transport, { kinds: ['audio'] });
    await echo(transport, client);
    await client.connected;
    client.startSending();
    await counted(() => expect(client.received.audio).toBeGreaterThan(5));
    expect(client.received.video).toBe(0);
    expect(sdpTransform.parse(client.answerSdp).media.map(({ port }) => port)).toEqual([9, 0]);
  });

  it('goes on through an ICE restart', async () => {
    const transport = await makeTransport();
    const client = await call(transport);
    await echo(transport, client);
    await client.connected;
    client.startSending();
    await counted(() => expect(client.received.audio).toBeGreaterThan(5));

    const before = client.answerSdp;
    const { usernameFragment } = await transport.restartIce();
    const after = await client.answer(rawOffer(transport, router));
    const [old, renewed] = [before, after].map((sdp) => sdpTransform.parse(sdp).media[0]!);
    expect(renewed!.iceUfrag).not.toBe(old!.iceUfrag);
    expect(renewed!.fingerprint).toEqual(old!.fingerprint);
    expect(renewed!.ssrcs).toEqual(old!.ssrcs);
    expect(transport.iceParameters.usernameFragment).toBe(usernameFragment);
    const heard = client.received.audio;
    await counted(() => expect(client.received.audio).toBeGreaterThan(heard + 10));
    expect(transport.iceState).toMatch(/connected|completed/);
  });

  it('says that it is not connected when nobody answers its handshake', async () => {
    const transport = await makeTransport();
    const client = await RtcClient.answer(rawOffer(transport, router));
    transport.close();
    await client.close();
    await expect(client.connected).rejects.toThrow('the client was closed');
  });

  it('refuses an offer without a section that it takes', async () => {
    const transport = await makeTransport();
    await expect(RtcClient.answer(rawOffer(transport, router), { kinds: ['application'] })).rejects.toThrow('none');
  });
});

// The floor: mediasoup alone, in a process of its own, with the objects of one audio echo and no signaling.
import { setTimeout as delay } from 'node:timers/promises';
import { createWorker } from 'mediasoup';
import type { Producer, RtpParameters, WebRtcServer, WebRtcTransport } from 'mediasoup/types';
import { routerCodecs } from '../../src/sdp/codecs.ts';
import { answer } from '../shared/ask.ts';
import { rate } from '../shared/rates.ts';

const IN_FLIGHT = 64;
const worker = await createWorker({ logLevel: 'none' });
const listen = { ip: '127.0.0.1' };
const webRtcServer: WebRtcServer = await worker.createWebRtcServer({
  listenInfos: [
    { protocol: 'udp', ...listen },
    { protocol: 'tcp', ...listen },
  ],
});
const router = await worker.createRouter({ mediaCodecs: routerCodecs });
const opus = router.rtpCapabilities.codecs!.find(({ mimeType }) => mimeType === 'audio/opus')!;
const dtlsParameters = {
  role: 'client' as const,
  fingerprints: [{ algorithm: 'sha-256' as const, value: Array(32).fill('AB').join(':') }],
};
const held: WebRtcTransport[] = [];
let ssrc = 1000;

/** What an echo has that is negotiated and not connected. */
async function open(): Promise<{ transport: WebRtcTransport; producer: Producer }> {
  const transport = await router.createWebRtcTransport({ webRtcServer });
  const rtpParameters: RtpParameters = {
    mid: '0',
    codecs: [{ ...opus, payloadType: opus.preferredPayloadType!, parameters: { useinbandfec: 1 } }],
    encodings: [{ ssrc: ssrc++ }],
    rtcp: { cname: 'c' },
  };
  const [, producer] = await Promise.all([
    transport.connect({ dtlsParameters }),
    transport.produce({ kind: 'audio', rtpParameters }),
  ]);
  return { transport, producer };
}

/** All that an echo has. */
async function openEcho(): Promise<WebRtcTransport> {
  const { transport, producer } = await open();
  await transport.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities });
  return transport;
}

answer({
  /** Echoes set up and ended a second. */
  rate: (count) => rate(count, IN_FLIGHT, async () => (await openEcho()).close()),
  /** Sessions set up and held a second, negotiated and not connected. */
  hold: (count) => rate(count, IN_FLIGHT, async () => held.push((await open()).transport)),
  /** Ends those that are held; milliseconds until the worker has closed all of them: it answers in order. */
  end: async () => {
    const since = performance.now();
    for (const transport of held.splice(0)) transport.close();
    await worker.getResourceUsage();
    return performance.now() - since;
  },
  collect: async () => {
    globalThis.gc?.();
    await delay(500);
  },
});
process.send?.('ready');

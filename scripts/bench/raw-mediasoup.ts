// The floor: mediasoup alone, in a process of its own, with the same objects a session has (one audio echo) and no
// signaling. Driven over IPC: {rate: count} answers {rate, cpuMs}, {hold: count} answers {kilobytes}.
import { createWorker } from 'mediasoup';
import type { RtpParameters, WebRtcServer, WebRtcTransport } from 'mediasoup/types';
import { routerCodecs } from '../../src/sdp/codecs.ts';
import { rate } from './measure.ts';
import { cpuMs, kilobytes } from './process-usage.ts';

const IN_FLIGHT = 32;
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
let ssrc = 1000;

async function open(): Promise<WebRtcTransport> {
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
  await transport.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities });
  return transport;
}

const usage = () => [process.pid, worker.pid];

process.on('message', async (wish: { rate?: number; hold?: number }) => {
  if (wish.rate !== undefined) {
    const before = cpuMs(usage());
    const perSecond = await rate(wish.rate, IN_FLIGHT, async () => (await open()).close());
    process.send?.({ rate: perSecond, cpuMs: (cpuMs(usage()) - before) / wish.rate });
  }
  if (wish.hold !== undefined) {
    globalThis.gc?.();
    const before = kilobytes(usage());
    const held: WebRtcTransport[] = [];
    await rate(wish.hold, IN_FLIGHT, async () => held.push(await open()));
    globalThis.gc?.();
    process.send?.({ kilobytes: (kilobytes(usage()) - before) / wish.hold });
    for (const transport of held) transport.close();
  }
});
process.send?.({ ready: true });

// Proves a mediasoup-worker binary before it is used: `node verify.mjs <binary>`. A worker can start, answer requests
// and still die at its first DTLS handshake (see patchDtlsTransport in recipe.mjs), so a client makes a real one here,
// then sends Opus packets and must hear them back: that takes ICE, DTLS and SRTP through both directions.

import { once } from 'node:events';
import * as mediasoup from 'mediasoup';
import {
  IceCandidate,
  RTCDtlsFingerprint,
  RTCDtlsParameters,
  RTCDtlsTransport,
  RTCIceGatherer,
  RTCIceParameters,
  RTCIceTransport,
  RtpHeader,
} from 'werift';

const limitMs = 10_000;
const opus = { kind: 'audio', mimeType: 'audio/opus', clockRate: 48_000, channels: 2 };
const payloadType = 111;
const ssrc = 0x63616c6c;
const srtpProfiles = [0x0001]; // AES_CM_128_HMAC_SHA1_80

async function verify(workerBin) {
  const worker = await mediasoup.createWorker({ workerBin, logLevel: 'error' });
  const died = once(worker, 'died').then(([error]) => {
    throw new Error(`it died: ${error.message}`);
  });
  try {
    await Promise.race([call(worker), died]);
  } finally {
    worker.close();
  }
}

async function call(worker) {
  const router = await worker.createRouter({
    mediaCodecs: [{ ...opus, preferredPayloadType: payloadType }],
  });
  const server = await router.createWebRtcTransport({
    listenInfos: [{ protocol: 'udp', ip: '127.0.0.1' }],
  });

  const ice = new RTCIceTransport(new RTCIceGatherer({ useIpv6: false, additionalHostAddresses: ['127.0.0.1'] }));
  ice.connection.iceControlling = true;
  const dtls = new RTCDtlsTransport({}, ice, await RTCDtlsTransport.SetupCertificate(), srtpProfiles);
  dtls.role = 'client';

  await server.connect({
    dtlsParameters: { role: 'client', fingerprints: dtls.localParameters.fingerprints },
  });
  const { fingerprints } = server.dtlsParameters;
  dtls.setRemoteParams(
    new RTCDtlsParameters(
      fingerprints.map(({ algorithm, value }) => new RTCDtlsFingerprint(algorithm, value)),
      'server',
    ),
  );
  ice.setRemoteParams(new RTCIceParameters(server.iceParameters));
  await ice.gather();
  for (const c of server.iceCandidates) {
    await ice.addRemoteCandidate(new IceCandidate(1, c.foundation, c.address, c.port, c.priority, c.protocol, c.type));
  }
  await ice.start();
  await dtls.start();

  const producer = await server.produce({
    kind: 'audio',
    rtpParameters: { codecs: [{ ...opus, payloadType }], encodings: [{ ssrc }] },
  });
  await server.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities });
  const echo = dtls.onRtp.asPromise();
  const speaking = setInterval(() => dtls.sendRtp(Buffer.from('callgate'), nextHeader()), 20);
  try {
    const [packet] = await echo;
    if (!packet.payload.equals(Buffer.from('callgate'))) throw new Error('the audio came back changed');
  } finally {
    clearInterval(speaking);
  }
}

let sequenceNumber = 0;

function nextHeader() {
  sequenceNumber += 1;
  return new RtpHeader({ payloadType, ssrc, sequenceNumber, timestamp: sequenceNumber * 960 });
}

const timer = setTimeout(() => fail(`no media within ${limitMs / 1000} s`), limitMs);
verify(process.argv[2]).then(
  () => {
    clearTimeout(timer);
    process.exit(0);
  },
  (error) => fail(error.message),
);

function fail(why) {
  console.error(why);
  process.exit(1);
}

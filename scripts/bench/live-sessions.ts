// Clients in a process of their own: echoes over real ICE and DTLS, one for each token, whose packets are watched.
import { setTimeout as delay } from 'node:timers/promises';
import { RtcPeer } from '../../src/peer/rtc-peer.ts';
import { startCall } from '../../test/support/ws-client.ts';
import { answer } from '../shared/ask.ts';

/** Connecting takes milliseconds; what takes this long will never happen. */
const PATIENCE_MS = 15_000;

/** Headers of IPv4 and UDP, which are sent as well. */
const HEADERS = 28;

const [, , url = '', endpoint_id = '', media = '', ...tokens] = process.argv;
const kinds = media.split('+');

let last = performance.now();
let longest = 0;
let bytes = 0;

function look(packet: Buffer): void {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
  bytes += packet.length + HEADERS;
}

async function connect(token: string): Promise<void> {
  const wanted = { audio: 'sendrecv', video: kinds.includes('video') ? 'sendrecv' : 'none' } as const;
  const socket = await startCall(url, { endpoint_id, token, media: wanted });
  const { offer_id, sdp } = await socket.expect('offer');
  const peer = await RtcPeer.create({ kinds });
  peer.onPacket = (_, packet) => look(packet);
  socket.send({ type: 'answer', offer_id, sdp: await peer.answer(sdp) });
  await peer.connected;
  peer.startSending();
  const came = await Promise.race([peer.firstPacket.then(() => true), delay(PATIENCE_MS, false, { ref: false })]);
  if (!came) throw new Error('nothing came back');
}

for (const token of tokens) await connect(token);

answer({
  /** The longest time between two packets since the last question, and until now; milliseconds. */
  gap: () => {
    const gap = Math.max(longest, performance.now() - last);
    longest = 0;
    return gap;
  },
  /** Bytes that have come in so far. */
  bytes: () => bytes,
});
process.send?.('live');

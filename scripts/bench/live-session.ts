// A client in a process of its own: one audio echo over real ICE and DTLS, whose packets are watched for gaps.
import { setTimeout as delay } from 'node:timers/promises';
import { RtcPeer } from '../../src/load/peer/rtc-peer.ts';
import { startCall } from '../../test/support/ws-client.ts';
import { answer } from './ask.ts';

/** Connecting takes milliseconds; what takes this long will never happen. */
const PATIENCE_MS = 15_000;

const [, , url = '', endpoint_id = '', token = ''] = process.argv;
const socket = await startCall(url, { endpoint_id, token, media: { audio: 'sendrecv', video: 'none' } });
const { offer_id, sdp } = await socket.expect('offer');
const peer = await RtcPeer.create({ kinds: ['audio'] });

let last = performance.now();
let longest = 0;

function look(): void {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
}

peer.onPacket = look;
socket.send({ type: 'answer', offer_id, sdp: await peer.answer(sdp) });
await peer.connected;
peer.startSending();
const came = await Promise.race([peer.firstPacket.then(() => true), delay(PATIENCE_MS, false, { ref: false })]);
if (!came) throw new Error('nothing came back');

answer({
  /** The longest time between two packets since the last question, and until now; milliseconds. */
  gap: () => {
    const gap = Math.max(longest, performance.now() - last);
    longest = 0;
    return gap;
  },
});
process.send?.('live');

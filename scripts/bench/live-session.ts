// A client in a process of its own: one audio echo over real ICE and DTLS, whose packets are watched for gaps.
import { setTimeout as delay } from 'node:timers/promises';
import { RtcClient } from '../../test/support/rtc-client.ts';
import { startCall } from '../../test/support/ws-client.ts';
import { answer } from './ask.ts';
import { LASTING } from './server.ts';

/** How finely arrivals are timed; packets come every 20 ms. */
const LOOK_MS = 1;

const [, , url = '', token = ''] = process.argv;
const socket = await startCall(url, { endpoint_id: LASTING, token, media: { audio: 'sendrecv', video: 'none' } });
const { offer_id, sdp } = await socket.expect('offer');
const client = await RtcClient.answer(sdp);
socket.send({ type: 'answer', offer_id, sdp: client.answerSdp });
await client.connected;
client.startSending();

let seen = 0;
let last = performance.now();
let longest = 0;

setInterval(() => {
  const { audio } = client.received;
  const now = performance.now();
  longest = Math.max(longest, now - last);
  if (audio !== seen) last = now;
  seen = audio;
}, LOOK_MS);

answer({
  /** The longest time without a packet since the last question, the one under way included; milliseconds. */
  gap: () => {
    const gap = longest;
    longest = 0;
    return gap;
  },
});
while (client.received.audio === 0) await delay(10);
process.send?.('live');

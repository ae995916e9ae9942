// A caller where there is no DOM, as in React Native: WebRTC by a libwebrtc binding, and nothing of a browser beside it.
// Makes the call that its arguments describe, and prints as JSON what it saw; `hangup` gives it up while it connects, `cut`
// loses its socket once it hears and sees itself, and waits until it does again.

import { setInterval } from 'node:timers';
import { setTimeout as delay } from 'node:timers/promises';
import wrtc from '@roamhq/wrtc';
import { WebSocket } from 'ws';

const { RTCAudioSink, RTCAudioSource, RTCVideoSink, RTCVideoSource } = wrtc.nonstandard;
const [url, endpointId, token, how] = process.argv.slice(2) as [string, string, string, string?];

const microphone = new RTCAudioSource();
const camera = new RTCVideoSource();
const tracks = [microphone.createTrack(), camera.createTrack()];
const sending = [
  setInterval(() => {
    const samples = Int16Array.from({ length: 480 }, (_, index) => 8000 * Math.sin(index / 10));
    microphone.onData({ samples, sampleRate: 48_000, bitsPerSample: 16, channelCount: 1, numberOfFrames: 480 });
  }, 10),
  setInterval(() => camera.onFrame({ width: 160, height: 120, data: new Uint8Array(160 * 120 * 1.5) }), 50),
];

/** What React Native has of all that; anything else that is used by mistake shows here. */
function leaveTheBrowser(): void {
  const absent = [
    'DOMException',
    'Event',
    'EventTarget',
    'MessageEvent',
    'btoa',
    'TextEncoder',
    'reportError',
    'location',
    'URL',
    'performance',
  ];
  for (const name of [...absent, 'addEventListener', 'window', 'document', 'MediaStreamTrack']) {
    Reflect.deleteProperty(globalThis, name);
  }
  Reflect.deleteProperty(Promise, 'withResolvers');
  // Its events are told to handlers only.
  for (const { prototype } of [wrtc.RTCPeerConnection, wrtc.MediaStreamTrack, wrtc.MediaStream]) {
    for (let object = prototype; object !== Object.prototype; object = Object.getPrototypeOf(object)) {
      Reflect.deleteProperty(object, 'addEventListener');
      Reflect.deleteProperty(object, 'removeEventListener');
    }
  }
  const getUserMedia = async () => new wrtc.MediaStream(tracks);
  Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices: { getUserMedia } } });
  // Node's own WebSocket needs the globals that are gone.
  Object.assign(globalThis, {
    WebSocket: PhoneSocket,
    RTCPeerConnection: wrtc.RTCPeerConnection,
    MediaStream: wrtc.MediaStream,
  });
}

const sockets: WebSocket[] = [];

class PhoneSocket extends WebSocket {
  constructor(...options: ConstructorParameters<typeof WebSocket>) {
    super(...options);
    sockets.push(this);
  }
}

const heard = { audio: 0, video: 0 };

function count(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) {
    if (track.kind === 'audio') {
      new RTCAudioSink(track).ondata = ({ samples }: { samples: Int16Array }) => {
        if (samples.some((sample) => Math.abs(sample) > 100)) heard.audio += 1;
      };
    } else {
      new RTCVideoSink(track).onframe = () => {
        heard.video += 1;
      };
    }
  }
}

leaveTheBrowser();
const { connect } = await import('../../src/client/index.ts');
const call = connect({ url, endpointId, token });
const errors: unknown[] = [];
call.on('mediaerror', ({ message }) => errors.push(message));
call.on('participants', (streams) => count(streams.get('remote')));
if (how === 'hangup') setTimeout(() => void call.hangup(), 50);
const live = await call.live.then(
  () => true,
  () => false,
);
const states: string[] = [];
call.on('state', (state) => states.push(state));
const hearsItself = async () => {
  const before = { ...heard };
  while (heard.audio < before.audio + 50 || heard.video < before.video + 10) await delay(50);
};
if (live) await hearsItself();
if (live && how === 'cut') {
  sockets.at(-1)!.terminate();
  while (states.at(-1) !== 'live') await delay(50);
  await hearsItself();
}
if (live) await call.hangup();
for (const timer of sending) clearInterval(timer);
const { reason, error } = await call.ended;
// The binding keeps threads of its own.
process.stdout.write(
  JSON.stringify({ errors, reason, code: error?.code, message: error?.message, ...(how === 'cut' && { states }) }),
  () => process.exit(0),
);

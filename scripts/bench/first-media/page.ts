// The page in which both are timed. Both get tracks that were opened before, and both are watched from outside.
import { connect } from '../../../src/client/index.ts';

/** Milliseconds since `new WebSocket`. */
export interface FirstMedia {
  audio: number;
  video: number;
}

type Kind = keyof FirstMedia;

export interface BenchPage {
  openDevices(): Promise<void>;
  gate(call: { url: string; endpointId: string; token: string }): Promise<FirstMedia>;
  janus(url: string): Promise<FirstMedia>;
}

declare global {
  var bench: BenchPage;
  /** Chromium's (mediacapture-transform); TypeScript does not know it. */
  var MediaStreamTrackProcessor: new (init: { track: MediaStreamTrack }) => { readable: ReadableStream<VideoFrame> };
}

/** Media that has not come by then never will. */
const PATIENCE_MS = 10_000;

let sinceSocket = 0;
let first: Record<Kind, PromiseWithResolvers<number>>;
let tracks: MediaStreamTrack[] = [];

class TimedSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    sinceSocket = performance.now();
    super(url, protocols);
  }
}

class WatchedPeer extends RTCPeerConnection {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    this.addEventListener('track', ({ track }) => watch(track));
  }
}

globalThis.WebSocket = TimedSocket;
globalThis.RTCPeerConnection = WatchedPeer;

/** A remote track is unmuted by its first packet (webrtc-pc, section 5.3); of video the first decoded frame counts. */
function watch(track: MediaStreamTrack): void {
  const arrived = () => first[track.kind as Kind].resolve(performance.now() - sinceSocket);
  if (track.kind === 'audio') return track.addEventListener('unmute', arrived, { once: true });
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  void reader.read().then(({ value }) => {
    arrived();
    value?.close();
    return reader.cancel();
  });
}

/** Times a call and ends it. */
async function time(start: () => () => void): Promise<FirstMedia> {
  first = { audio: Promise.withResolvers(), video: Promise.withResolvers() };
  const end = start();
  const tooLong = setTimeout(() => first.video.reject(new Error('no media came')), PATIENCE_MS);
  const [audio, video] = await Promise.all([first.audio.promise, first.video.promise]).finally(end);
  clearTimeout(tooLong);
  return { audio, video };
}

/**
 * What janus.js does for an echo test, with trickled candidates; but the offer is made while the session is, so that
 * nothing waits that need not.
 */
function startJanus(url: string): () => void {
  const socket = new WebSocket(url, 'janus-protocol');
  const peer = new RTCPeerConnection();
  const ids: { session_id?: number; handle_id?: number } = {};
  const say = (janus: string, more: object = {}) =>
    socket.send(JSON.stringify({ janus, transaction: janus, ...ids, ...more }));
  const attached = Promise.withResolvers<void>();
  for (const track of tracks) peer.addTrack(track, new MediaStream([track]));
  const offered = peer.createOffer();
  peer.onicecandidate = async ({ candidate }) => {
    await attached.promise;
    say('trickle', { candidate: candidate ?? { completed: true } });
  };
  socket.onopen = () => say('create');
  socket.onmessage = async ({ data }: MessageEvent<string>) => {
    const reply = JSON.parse(data) as { janus: string; transaction?: string; data?: { id: number }; jsep?: never };
    if (reply.jsep) return peer.setRemoteDescription(reply.jsep);
    if (reply.janus !== 'success') return;
    if (reply.transaction === 'create') {
      ids.session_id = reply.data?.id ?? 0;
      return say('attach', { plugin: 'janus.plugin.echotest' });
    }
    ids.handle_id = reply.data?.id ?? 0;
    const jsep = await offered;
    say('message', { body: { audio: true, video: true }, jsep });
    await peer.setLocalDescription(jsep);
    attached.resolve();
  };
  return () => {
    say('destroy');
    peer.close();
    socket.close();
  };
}

globalThis.bench = {
  openDevices: async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
    tracks = stream.getTracks();
  },
  gate: (options) =>
    time(() => {
      const [audio, video] = [
        tracks.find(({ kind }) => kind === 'audio')!,
        tracks.find(({ kind }) => kind === 'video')!,
      ];
      const call = connect({ ...options, media: { audio, video } });
      return () => void call.hangup();
    }),
  janus: (url) => time(() => startJanus(url)),
};

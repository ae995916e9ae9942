import type { MediaDirection, WantedMedia } from '../protocol/messages.ts';
import { CallError } from './errors.ts';
import type { Kind } from './sdp.ts';

/**
 * What a call carries of one kind: `true` or constraints ask for the device, a track is sent as it is, `'recvonly'`
 * only receives, and `false` (or nothing) leaves the kind out.
 */
export type MediaChoice = boolean | MediaTrackConstraints | MediaStreamTrack | 'recvonly';

export interface MediaChoices {
  audio?: MediaChoice;
  video?: MediaChoice;
}

/** Chromium sends three simulcast layers only of pictures from 960 × 540 up; a camera that has less gives less. */
const PICTURE: MediaTrackConstraints = { width: { ideal: 1280 }, height: { ideal: 720 } };

export const KINDS: readonly Kind[] = ['audio', 'video'];

const isTrack = (choice: MediaChoice | undefined): choice is MediaStreamTrack => choice instanceof MediaStreamTrack;

const directionFor = (choice: MediaChoice = false): MediaDirection => {
  if (choice === false) return 'none';
  return choice === 'recvonly' ? 'recvonly' : 'sendrecv';
};

/** The directions that the server is asked for. */
export const wantedMedia = ({ audio, video }: MediaChoices): WantedMedia => ({
  audio: directionFor(audio),
  video: directionFor(video),
});

/** The tracks that the page brought along. */
export const givenTracks = (choices: MediaChoices): MediaStreamTrack[] =>
  KINDS.map((kind) => choices[kind]).filter(isTrack);

/**
 * Opens the devices that were asked for, with one prompt; empty when none was.
 * Rejects with `media_denied` or `media_unavailable`.
 */
export async function openDevices(choices: MediaChoices): Promise<MediaStreamTrack[]> {
  const constraints: MediaStreamConstraints = {};
  for (const kind of KINDS) {
    const choice = choices[kind];
    if (choice && choice !== 'recvonly' && !isTrack(choice)) {
      constraints[kind] = choice === true && kind === 'video' ? PICTURE : choice;
    }
  }
  if (!constraints.audio && !constraints.video) return [];
  // Outside a secure context there is no such object (Media Capture and Streams, section 9.1).
  if (!navigator.mediaDevices) throw new CallError('media_unavailable');
  try {
    return (await navigator.mediaDevices.getUserMedia(constraints)).getTracks();
  } catch (cause) {
    const denied = cause instanceof DOMException && ['NotAllowedError', 'SecurityError'].includes(cause.name);
    throw new CallError(denied ? 'media_denied' : 'media_unavailable', { cause });
  }
}

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

export interface DeviceListener {
  /** Whether this kind is still wanted; nobody is asked for what is not. */
  wants(kind: Kind): boolean;
  opened(track: MediaStreamTrack): void;
  /** `media_denied` or `media_unavailable`, with the kind. */
  failed(error: CallError): void;
}

/** Chromium sends three simulcast layers only of pictures from 960 × 540 up; a camera that has less gives less. */
const PICTURE: MediaTrackConstraints = { width: { ideal: 1280 }, height: { ideal: 720 } };

export const KINDS: readonly Kind[] = ['audio', 'video'];

const DEVICES: Record<Kind, string> = { audio: 'microphone', video: 'camera' };

/** Not by `instanceof`: the class need not be a global, and a track may come from another frame. */
const isTrack = (choice: MediaChoice | undefined): choice is MediaStreamTrack =>
  typeof choice === 'object' && typeof (choice as Partial<MediaStreamTrack>).stop === 'function';

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

/** Opens the devices that were asked for: with one prompt where all can be had, else each alone. Never rejects. */
export async function openDevices(choices: MediaChoices, listener: DeviceListener): Promise<void> {
  const constraints = deviceConstraints(choices);
  const kinds = KINDS.filter((kind) => constraints[kind]);
  const [kind, another] = kinds;
  if (!kind) return;
  // Whoever calls hears what is told next.
  await undefined;
  // Outside a secure context there is no such object (Media Capture and Streams, section 9.1).
  const devices = globalThis.navigator?.mediaDevices as MediaDevices | undefined;
  if (!devices) return kinds.forEach((kind) => void listener.failed(unavailable(kind)));
  try {
    for (const track of (await devices.getUserMedia(constraints)).getTracks()) listener.opened(track);
  } catch (cause) {
    if (!another) return listener.failed(refusal(kind, cause));
    // They fail as a whole when one of them does. One after the other, as there is one place for a prompt.
    for (const kind of kinds) if (listener.wants(kind)) await openDevices({ [kind]: choices[kind] }, listener);
  }
}

const unavailable = (kind: Kind): CallError =>
  deviceError('media_unavailable', kind, 'cannot be opened: a page has it only when it came by https:');

function deviceConstraints(choices: MediaChoices): MediaStreamConstraints {
  const constraints: MediaStreamConstraints = {};
  for (const kind of KINDS) {
    const choice = choices[kind];
    if (choice && choice !== 'recvonly' && !isTrack(choice)) {
      constraints[kind] = choice === true && kind === 'video' ? PICTURE : choice;
    }
  }
  return constraints;
}

function refusal(kind: Kind, cause: unknown): CallError {
  const name = (cause as { name?: string } | undefined)?.name ?? '';
  // Names and not `instanceof DOMException`, which is not everywhere.
  return ['NotAllowedError', 'SecurityError'].includes(name)
    ? deviceError('media_denied', kind, 'was refused', cause)
    : deviceError('media_unavailable', kind, 'cannot be opened', cause);
}

export const deviceError = (
  code: 'media_denied' | 'media_unavailable' | 'media_lost',
  kind: Kind,
  what: string,
  cause?: unknown,
): CallError => new CallError(code, { message: `The ${DEVICES[kind]} ${what}`, kind, cause });

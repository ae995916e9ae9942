import { type DeviceListener, deviceError, givenTracks, type MediaChoices, openDevices } from './devices.ts';
import type { CallError } from './errors.ts';
import { listen } from './listen.ts';
import type { Kind } from './sdp.ts';
import { newStream } from './streams.ts';

export interface LocalMediaListener {
  /** Whether the call sends this kind. */
  sends(kind: Kind): boolean;
  put(track: MediaStreamTrack): void;
  /** A device could not be had, or the track that is sent has ended by itself. */
  failed(error: CallError): void;
}

/** What the caller sends: one track per kind, in one stream. Only tracks that the SDK opened itself are ever stopped. */
export class LocalMedia {
  readonly stream = newStream();
  readonly #listener: LocalMediaListener;
  readonly #opened = new Set<MediaStreamTrack>();
  /** Kinds of which the page has said what is sent. */
  readonly #chosen = new Set<Kind>();
  readonly #unwatch = new Map<MediaStreamTrack, () => void>();
  #closed = false;

  constructor(listener: LocalMediaListener) {
    this.#listener = listener;
  }

  /**
   * The page's own tracks at once, then those of the devices when they are there. What the page says while somebody looks
   * at the prompt stands: a kind that it has chosen for, or that is sent no more, gets no device.
   */
  async open(choices: MediaChoices): Promise<void> {
    for (const track of givenTracks(choices)) this.#listener.put(track);
    const wants = (kind: Kind) => !this.#closed && !this.#chosen.has(kind) && this.#listener.sends(kind);
    const devices: DeviceListener = {
      wants,
      opened: (track) => {
        this.#opened.add(track);
        if (wants(track.kind as Kind)) this.#listener.put(track);
        else this.#stop(track);
      },
      failed: (error) => this.#fail(error),
    };
    await openDevices(choices, devices);
  }

  track(kind: Kind): MediaStreamTrack | undefined {
    return this.stream.getTracks().find((track) => track.kind === kind);
  }

  replace(kind: Kind, track: MediaStreamTrack | null): void {
    this.#chosen.add(kind);
    const old = this.track(kind);
    if (old === (track ?? undefined)) return;
    if (old) {
      this.stream.removeTrack(old);
      this.#stop(old);
    }
    if (!track) return;
    this.stream.addTrack(track);
    this.#watch(track);
  }

  close(): void {
    this.#closed = true;
    for (const track of this.stream.getTracks()) this.#stop(track);
    for (const track of this.#opened) this.#stop(track);
  }

  /** `ended` comes of a device that is gone, not of `stop()` (Media Capture and Streams, section 4.3.1). */
  #watch(track: MediaStreamTrack): void {
    const lost = () => {
      if (this.stream.getTracks().includes(track))
        this.#fail(deviceError('media_lost', track.kind as Kind, 'was lost'));
    };
    this.#unwatch.set(track, listen(track, 'ended', lost));
    // It may have ended before anybody listened.
    if (track.readyState === 'ended') queueMicrotask(lost);
  }

  #fail(error: CallError): void {
    if (!this.#closed) this.#listener.failed(error);
  }

  #stop(track: MediaStreamTrack): void {
    this.#unwatch.get(track)?.();
    this.#unwatch.delete(track);
    if (this.#opened.delete(track)) track.stop();
  }
}

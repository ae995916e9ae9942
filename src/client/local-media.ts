import { givenTracks, type MediaChoices, openDevices } from './devices.ts';
import type { Kind } from './sdp.ts';

/** What the caller sends: one track per kind, in one stream. Only tracks that the SDK opened itself are ever stopped. */
export class LocalMedia {
  readonly stream = new MediaStream();
  readonly #opened = new Set<MediaStreamTrack>();
  #closed = false;

  /** The page's own tracks at once, then those of the devices when they are there; a kind that has a track keeps it. */
  async open(choices: MediaChoices, put: (track: MediaStreamTrack) => void): Promise<void> {
    for (const track of givenTracks(choices)) put(track);
    for (const track of await openDevices(choices)) {
      this.#opened.add(track);
      if (this.#closed || this.track(track.kind as Kind)) this.#stop(track);
      else put(track);
    }
  }

  track(kind: Kind): MediaStreamTrack | undefined {
    return this.stream.getTracks().find((track) => track.kind === kind);
  }

  replace(kind: Kind, track: MediaStreamTrack | null): void {
    const old = this.track(kind);
    if (old === (track ?? undefined)) return;
    if (old) {
      this.stream.removeTrack(old);
      this.#stop(old);
    }
    if (track) this.stream.addTrack(track);
  }

  close(): void {
    this.#closed = true;
    for (const track of this.#opened) this.#stop(track);
  }

  #stop(track: MediaStreamTrack): void {
    if (this.#opened.delete(track)) track.stop();
  }
}

import { givenTracks, type MediaChoices, openDevices } from './devices.ts';
import type { Kind } from './sdp.ts';

/** What the caller sends: one track per kind, in one stream. Only tracks that the SDK opened itself are ever stopped. */
export class LocalMedia {
  readonly stream = new MediaStream();
  readonly #opened = new Set<MediaStreamTrack>();
  /** Kinds of which the page has said what is sent. */
  readonly #chosen = new Set<Kind>();
  #closed = false;

  /**
   * The page's own tracks at once, then those of the devices when they are there. What the page says while somebody looks
   * at the prompt stands: a kind that it has chosen for, or that `sends` no more, gets no device.
   */
  async open(
    choices: MediaChoices,
    sends: (kind: Kind) => boolean,
    put: (track: MediaStreamTrack) => void,
  ): Promise<void> {
    for (const track of givenTracks(choices)) put(track);
    for (const track of await openDevices(choices)) {
      const kind = track.kind as Kind;
      this.#opened.add(track);
      if (this.#closed || this.#chosen.has(kind) || !sends(kind)) this.#stop(track);
      else put(track);
    }
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

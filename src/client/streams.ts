/** A stream without tracks; where the platform has no constructor of streams, a list of tracks that is used like one. */
export const newStream = (): MediaStream =>
  typeof MediaStream === 'undefined' ? (new TrackList() as unknown as MediaStream) : new MediaStream();

class TrackList {
  readonly #tracks = new Set<MediaStreamTrack>();

  addTrack(track: MediaStreamTrack): void {
    this.#tracks.add(track);
  }

  removeTrack(track: MediaStreamTrack): void {
    this.#tracks.delete(track);
  }

  getTracks(): MediaStreamTrack[] {
    return [...this.#tracks];
  }

  getAudioTracks(): MediaStreamTrack[] {
    return this.getTracks().filter(({ kind }) => kind === 'audio');
  }

  getVideoTracks(): MediaStreamTrack[] {
    return this.getTracks().filter(({ kind }) => kind === 'video');
  }
}

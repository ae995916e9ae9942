import type { Track } from '../protocol/messages.ts';
import type { Incoming } from './peer.ts';
import { newStream } from './streams.ts';

/** Who comes back on the caller's own sections: the echo, or whatever answers the endpoint. */
export const REMOTE = 'remote';

/** Everyone who is heard or seen; each has one MediaStream for the whole session, whose tracks come and go. */
export class Participants {
  readonly #streams = new Map<string, MediaStream>();
  #byMid = new Map<string, string>();
  #present: ReadonlyMap<string, MediaStream> = new Map();

  /** Streams by participant, those with no track at the moment left out. */
  get present(): ReadonlyMap<string, MediaStream> {
    return this.#present;
  }

  /** Takes the server's word on who is on which section. */
  assign(tracks: readonly Track[]): void {
    this.#byMid = new Map(tracks.map(({ mid, participant }) => [mid, participant]));
  }

  /** Puts every incoming track into its participant's stream; true when anything changed. */
  arrange(incoming: readonly Incoming[]): boolean {
    const tracks = new Map<string, MediaStreamTrack[]>();
    for (const { mid, own, receiver } of incoming) {
      const participant = own ? REMOTE : this.#byMid.get(mid);
      if (participant) tracks.set(participant, [...(tracks.get(participant) ?? []), receiver.track]);
    }
    for (const participant of tracks.keys()) {
      if (!this.#streams.has(participant)) this.#streams.set(participant, newStream());
    }
    let changed = false;
    for (const [participant, stream] of this.#streams) {
      changed = fill(stream, tracks.get(participant) ?? []) || changed;
    }
    this.#present = new Map([...this.#streams].filter(([participant]) => tracks.has(participant)));
    return changed;
  }
}

function fill(stream: MediaStream, tracks: readonly MediaStreamTrack[]): boolean {
  const gone = stream.getTracks().filter((track) => !tracks.includes(track));
  const fresh = tracks.filter((track) => !stream.getTracks().includes(track));
  for (const track of gone) stream.removeTrack(track);
  for (const track of fresh) stream.addTrack(track);
  return gone.length + fresh.length > 0;
}

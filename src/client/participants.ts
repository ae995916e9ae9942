import type { Track } from '../protocol/messages.ts';
import type { Incoming } from './peer.ts';
import { newStream } from './streams.ts';

/** Who comes back on the caller's own sections: the echo, or whatever answers the endpoint. */
export const REMOTE = 'remote';

type Tracks = ReadonlyMap<string, readonly MediaStreamTrack[]>;

/** Everyone who is heard or seen; each has one MediaStream for the whole session, whose tracks come and go. */
export class Participants {
  readonly #streams = new Map<string, MediaStream>();
  /** Tracks of the connection before, of those who have not come back on this one. */
  #awaited: Tracks = new Map();
  #present: ReadonlyMap<string, MediaStream> = new Map();

  /** Streams by participant, those with no track at the moment left out. */
  get present(): ReadonlyMap<string, MediaStream> {
    return this.#present;
  }

  /**
   * From here on tracks of another connection are arranged. Those of the one before stay until others of their kind come,
   * or until `forget`: a stream that loses its picture for a moment goes black.
   */
  await(): void {
    this.#awaited = new Map([...this.#present].map(([participant, stream]) => [participant, stream.getTracks()]));
  }

  forget(): void {
    this.#awaited = new Map();
  }

  /** Puts every incoming track into the stream of its participant by `tracks`; true when who plays them must know. */
  arrange(incoming: readonly Incoming[], tracks: readonly Track[] = []): boolean {
    const arrived = this.#sort(incoming, tracks);
    for (const participant of arrived.keys()) {
      if (!this.#streams.has(participant)) this.#streams.set(participant, newStream());
    }
    let changed = false;
    for (const [participant, stream] of this.#streams) {
      changed = fill(stream, this.#complete(participant, arrived.get(participant) ?? [])) || changed;
    }
    this.#present = new Map([...this.#streams].filter(([, stream]) => stream.getTracks().length > 0));
    return changed;
  }

  #sort(incoming: readonly Incoming[], tracks: readonly Track[]): Tracks {
    const byMid = new Map(tracks.map(({ mid, participant }) => [mid, participant]));
    const sorted = new Map<string, MediaStreamTrack[]>();
    for (const { mid, own, receiver } of incoming) {
      const participant = own ? REMOTE : byMid.get(mid);
      if (participant) sorted.set(participant, [...(sorted.get(participant) ?? []), receiver.track]);
    }
    return sorted;
  }

  #complete(participant: string, arrived: readonly MediaStreamTrack[]): MediaStreamTrack[] {
    const awaited = this.#awaited.get(participant) ?? [];
    return [...arrived, ...awaited.filter(({ kind }) => !arrived.some((track) => track.kind === kind))];
  }
}

/**
 * True when there is another kind now, or one less: whoever plays the stream has nothing to do for a track in the place of
 * another. Old ones go first: Chromium shows nothing any more when there were two pictures for a moment.
 */
function fill(stream: MediaStream, tracks: readonly MediaStreamTrack[]): boolean {
  const before = kindsOf(stream.getTracks());
  const gone = stream.getTracks().filter((track) => !tracks.includes(track));
  const fresh = tracks.filter((track) => !stream.getTracks().includes(track));
  for (const track of gone) stream.removeTrack(track);
  for (const track of fresh) stream.addTrack(track);
  return kindsOf(tracks) !== before;
}

const kindsOf = (tracks: readonly MediaStreamTrack[]): string => String(tracks.map(({ kind }) => kind).sort());

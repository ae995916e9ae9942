import type { MediaKind, Producer } from 'mediasoup/types';

/** What one participant sends to all others. */
export interface RoomTrack {
  readonly participant: string;
  readonly kind: MediaKind;
  readonly producer: Producer;
}

/** Hears that the room's tracks are not what they were; looks at them itself when it is ready for it. */
export interface RoomMember {
  readonly participant: string;
  roomChanged(): void;
}

/** The tracks of everyone at an endpoint. It waits for nobody: each member catches up at its own pace. */
export class Room {
  readonly #members = new Set<RoomMember>();
  readonly #tracks = new Map<string, RoomTrack>();

  /** Every track by its producer's id, in the order of their appearance. */
  get tracks(): ReadonlyMap<string, RoomTrack> {
    return this.#tracks;
  }

  join(member: RoomMember): void {
    this.#members.add(member);
  }

  leave(member: RoomMember): void {
    this.#members.delete(member);
  }

  publish(track: RoomTrack): void {
    this.#tracks.set(track.producer.id, track);
    this.#tellOthers(track);
  }

  unpublish(track: RoomTrack): void {
    if (this.#tracks.delete(track.producer.id)) this.#tellOthers(track);
  }

  #tellOthers({ participant }: RoomTrack): void {
    for (const member of this.#members) if (member.participant !== participant) member.roomChanged();
  }
}

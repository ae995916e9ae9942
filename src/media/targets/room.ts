import type { Consumer, MediaKind, Producer, Router, RtpCapabilities } from 'mediasoup/types';
import type { MediaDirection, Track } from '../../protocol/messages.ts';
import { type AnsweredSection, answeredCapabilities } from '../../sdp/answered-section.ts';
import { capabilitiesOf, type Profile } from '../../sdp/codecs.ts';
import { type Direction, isRtx, makeFormat, sends } from '../../sdp/format.ts';
import type { Section } from '../../sdp/negotiation.ts';
import type { Room, RoomMember, RoomTrack } from '../room.ts';
import type { Target, TargetCall } from './target.ts';

/** Where a client that sends nothing still gets a section of its own: it tells which codecs the client has. */
const DIRECTIONS = { sendrecv: 'recvonly', sendonly: 'recvonly', recvonly: 'inactive', none: undefined } as const;
const HEARS: ReadonlySet<MediaDirection> = new Set(['sendrecv', 'recvonly']);

interface Shown {
  readonly track: RoomTrack;
  readonly section: Section;
  readonly consumer: Consumer;
}

export interface RoomTargetOptions {
  room: Room;
  router: Router;
  profile: Profile;
  /** Public id of this participant: the others see it as stream id, CNAME and in `tracks`. */
  participant: string;
}

/** One participant: its tracks go to everyone else in the room, and each of theirs has a section of its own here. */
export class RoomTarget implements Target, RoomMember {
  readonly participant: string;
  readonly #call: TargetCall;
  readonly #room: Room;
  readonly #router: Router;
  readonly #wanted: Record<MediaKind, MediaDirection>;
  /** What the client can take; all that it is offered until it has answered. */
  readonly #capabilities: Record<MediaKind, RtpCapabilities>;
  readonly #shown = new Map<string, Shown>();
  /** Producers that the client rejected or that it cannot be given. */
  readonly #refused = new WeakSet<Producer>();
  readonly #announced = new WeakSet<Producer>();
  #left = false;

  /** `wanted` is live: the call changes it, the target reads it before each offer. */
  constructor(call: TargetCall, wanted: Record<MediaKind, MediaDirection>, options: RoomTargetOptions) {
    const { room, router, profile, participant } = options;
    const all = (kind: MediaKind) =>
      capabilitiesOf(kind, profile.remote[kind].codecs, profile.remote[kind].headerExtensions);
    this.participant = participant;
    this.#call = call;
    this.#room = room;
    this.#router = router;
    this.#wanted = wanted;
    this.#capabilities = { audio: all('audio'), video: all('video') };
    room.join(this);
  }

  get cname(): string {
    return this.participant;
  }

  roomChanged(): void {
    if (this.#stale().length > 0 || this.#missing().length > 0) this.#call.renegotiate();
  }

  direction(wanted: MediaDirection): Direction | undefined {
    return DIRECTIONS[wanted];
  }

  async prepare(): Promise<void> {
    for (const id of this.#stale()) this.#hide(id);
    await Promise.all(this.#missing().map((track) => this.#show(track)));
  }

  async answeredOwn(section: AnsweredSection, producer: Producer | undefined): Promise<void> {
    const { kind } = section;
    this.#capabilities[kind] = answeredCapabilities(section);
    if (producer === undefined || this.#announced.has(producer)) return;
    this.#announced.add(producer);
    const track = { participant: this.participant, kind, producer };
    // The worker tells the first score of a stream when it has its first packet (Producer::CreateRtpStream).
    producer.once('score', () => this.#left || this.#room.publish(track));
    producer.observer.once('close', () => this.#room.unpublish(track));
  }

  async answeredRemote(section: AnsweredSection): Promise<void> {
    const shown = [...this.#shown.values()].find((candidate) => candidate.section.mid === section.mid);
    // Its participant left while the offer was on its way: the next one says so.
    if (shown === undefined || shown.track.producer.closed) return;
    const payloadType = shown.consumer.rtpParameters.codecs[0]?.payloadType;
    const accepted = sends(section.direction) && section.codecs.some((codec) => codec.payloadType === payloadType);
    if (!accepted) return this.#refuse(shown.track);
    if (!shown.consumer.paused) return;
    try {
      // Asks for a key frame, too.
      await shown.consumer.resume();
    } catch {
      // Its participant, the worker or this call is gone: nothing is left to be seen.
      this.#refuse(shown.track);
    }
  }

  tracks(): Track[] {
    return [...this.#shown.values()].map(({ track, section }) => ({
      mid: section.mid,
      kind: track.kind,
      participant: track.participant,
    }));
  }

  async reached(): Promise<void> {}

  connected(): void {}

  close(): void {
    this.#left = true;
    this.#room.leave(this);
  }

  /** Producers that are shown and should not be. */
  #stale(): string[] {
    return [...this.#shown].filter(([, { track }]) => !this.#isWanted(track)).map(([id]) => id);
  }

  /** Tracks that should be shown and are not. */
  #missing(): RoomTrack[] {
    const tracks = [...this.#room.tracks.values()];
    return tracks.filter(
      (track) => !this.#shown.has(track.producer.id) && this.#isWanted(track) && this.#canTake(track),
    );
  }

  #isWanted({ participant, kind, producer }: RoomTrack): boolean {
    const hears = HEARS.has(this.#wanted[kind]);
    return hears && participant !== this.participant && !producer.closed && !this.#refused.has(producer);
  }

  /** A client that did not answer the codec of a track has rejected it. */
  #canTake({ kind, producer }: RoomTrack): boolean {
    const rtpCapabilities = this.#capabilities[kind];
    const possible = this.#router.canConsume({ producerId: producer.id, rtpCapabilities });
    if (!possible) this.#refused.add(producer);
    return possible;
  }

  async #show(track: RoomTrack): Promise<void> {
    const { transport, negotiation } = this.#call;
    const section = negotiation.take(track.kind);
    try {
      const consumer = await transport.consume({
        producerId: track.producer.id,
        rtpCapabilities: this.#capabilities[track.kind],
        mid: section.mid,
        paused: true,
      });
      // Its worker closed it with its producer, and would warn of one that it does not know any more.
      if (transport.closed || track.producer.closed) return negotiation.free(section);
      this.#shown.set(track.producer.id, { track, section, consumer });
      this.#declare(section, track, consumer);
    } catch {
      // One track that this client cannot be given is no reason to end its call, or anybody else's.
      this.#refused.add(track.producer);
      negotiation.free(section);
    }
  }

  #declare(section: Section, { participant, kind, producer }: RoomTrack, { rtpParameters }: Consumer): void {
    const { codecs, headerExtensions = [], encodings = [], rtcp } = rtpParameters;
    const [{ ssrc, rtx } = {}] = encodings;
    if (ssrc === undefined) throw new Error('a consumer without an SSRC');
    this.#call.negotiation.declare(section, makeFormat(kind, codecs, headerExtensions), {
      stream: participant,
      track: producer.id,
      cname: rtcp?.cname ?? participant,
      ssrc,
      ...(rtx && codecs.some(isRtx) ? { rtxSsrc: rtx.ssrc } : {}),
    });
  }

  #refuse({ producer }: RoomTrack): void {
    this.#refused.add(producer);
    this.#hide(producer.id);
  }

  #hide(id: string): void {
    const shown = this.#shown.get(id);
    if (shown === undefined) return;
    this.#shown.delete(id);
    // The worker closes the consumers of a closed producer itself, and would warn of one that it does not know any more.
    if (!shown.track.producer.closed) shown.consumer.close();
    this.#call.negotiation.free(shown.section);
  }
}

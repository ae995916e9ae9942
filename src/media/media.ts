import type { EndpointMedia } from '../directory/directory.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { Track, WantedMedia } from '../protocol/messages.ts';

/** A slot on a worker, reserved before the burn. */
export interface Reservation {
  /** Unique on the media side that made it. */
  readonly id: string;
  /** Frees the slot unless a call has taken it over. Idempotent. */
  release(): void;
}

/** 20 ms of G.711 μ-law at 8,000 Hz; `at` is when they are heard, in milliseconds since some beginning. */
export type Speaker = (frame: Buffer, at: number, first: boolean) => void;

/** The sound of a call as the application that answers it hears and makes it. */
export interface SoundPort {
  /** The next 20 ms of what the client says, in G.711 μ-law at 8,000 Hz; what did not come is silence. */
  heard(frame: Buffer): void;
  /** A key that the client has pressed, in its sound (RFC 4733). */
  pressed(digit: string): void;
  /** What the application says goes there from now on; undefined while the client cannot hear it. */
  speakTo(speaker: Speaker | undefined): void;
}

export interface CallSpec {
  sessionId: string;
  endpoint: { id: string; target: { kind: 'echo' | 'room' | 'stream' }; media: EndpointMedia };
  /** Of calls that reach an application. */
  sound?: SoundPort | undefined;
  /** What the client wants, in its own view. */
  media: WantedMedia;
  /** Public id of the client: the others in a room see it, and it is the same in every call of the session. */
  participant: string;
  /** `sha-256 AA:BB:…` that the answer must show, when the client's certificate is known. */
  fingerprint?: string;
  /** The id of the next offer; none is given twice in a session, whatever becomes of this call. */
  newOfferId(): string;
}

export interface Offer {
  id: string;
  sdp: string;
  /** How many media sections the SDP has; bounds the size of its answer. */
  sections: number;
  /** Rooms only: who is on which section, when it changed with this offer; always on a call's first offer. */
  tracks?: Track[];
}

/** What a call tells its session; never called after `close()`, nor before `start()`. */
export interface CallListener {
  /** To be answered; the first one follows `start()`. */
  offer(offer: Offer): void;
  /** ICE and DTLS are up. Once. */
  connected(): void;
  /** False when ICE is disconnected, true when it has healed. */
  reachable(reachable: boolean): void;
  /** The worker is gone, and the call with it; it holds nothing any more. */
  lost(): void;
  /** The call is over and holds nothing any more: the client closed DTLS, or it failed. */
  ended(reason: Extract<EndReason, 'completed' | 'negotiation_failed'>): void;
}

export interface MediaCall {
  /** Makes the first offer. To be called once. */
  start(): void;
  /**
   * Applies the answer to the outstanding offer, and tells the certificate that it showed, as `sha-256 AA:BB:…`. Undefined, with
   * nothing looked at, when `offerId` is not the outstanding one. Rejects with `CallgateError('negotiation_failed')`; the session
   * then ends the call.
   */
  accept(offerId: string, sdp: string): Promise<string | undefined>;
  /** Asks for an offer with these kinds and directions; merges with whatever waits for the next one. */
  change(media: WantedMedia): void;
  /** Asks for an offer with new ICE credentials; does nothing while such an offer is unanswered. */
  restart(): void;
  /** Frees everything the call holds, its slot included. Idempotent. */
  close(): void;
}

/** The one way to media, so that a session need not know whether its worker is in this process or on another node. */
export interface MediaPlane {
  /** Reserves a slot; rejects with `CallgateError('at_capacity', {retryable: true})` when all workers are full. */
  reserve(endpoint: CallSpec['endpoint']): Promise<Reservation>;
  /** Opens a call on the reservation with this id, which it takes over also when it rejects. */
  open(spec: CallSpec, reservationId: string, listener: CallListener): Promise<MediaCall>;
  /** Whether any worker can take a call. */
  readonly ready: boolean;
  close(): Promise<void>;
}

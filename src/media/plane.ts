import type { Router, WebRtcServer, WebRtcTransport } from 'mediasoup/types';
import { CallgateError } from '../errors.ts';
import { randomText } from '../random.ts';
import { makeProfile, type Profile } from '../sdp/codecs.ts';
import { Negotiation } from '../sdp/negotiation.ts';
import { serverLines } from '../sdp/offer.ts';
import { Call, type CallParts } from './call.ts';
import type { CallListener, CallSpec, MediaCall, MediaPlace, MediaPlane } from './media.ts';
import { Room } from './room.ts';
import { EchoTarget } from './targets/echo.ts';
import { RoomTarget } from './targets/room.ts';
import type { RouterSlot, WorkerPool } from './workers.ts';

type Endpoint = CallSpec['endpoint'];

export interface LocalMediaOptions {
  pool: Pick<WorkerPool, 'acquire' | 'ready' | 'close'>;
  startBitrateKbps: number;
  maxRoomParticipants: number;
}

/** What a call may be sent before the first feedback tells more; the upper simulcast layer needs about this much. */
const INITIAL_OUTGOING_BITRATE = 1_000_000;

/** A room and how many calls are in it or on their way. */
interface OpenRoom {
  readonly room: Room;
  places: number;
}

class Place implements MediaPlace {
  readonly slot: RouterSlot;
  readonly room: Room | undefined;
  readonly #onRelease: () => void;
  #released = false;

  constructor(slot: RouterSlot, room: Room | undefined, onRelease: () => void) {
    this.slot = slot;
    this.room = room;
    this.#onRelease = onRelease;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.slot.release();
    this.#onRelease();
  }
}

/** Media on the workers of this process. */
export class LocalMedia implements MediaPlane {
  readonly #options: LocalMediaOptions;
  readonly #rooms = new Map<string, OpenRoom>();
  readonly #calls = new Set<Call>();
  readonly #profiles = new Map<string, Profile>();
  readonly #servers = new WeakMap<WebRtcServer, string>();
  #closed = false;

  constructor(options: LocalMediaOptions) {
    this.#options = options;
  }

  get ready(): boolean {
    return this.#options.pool.ready;
  }

  async reserve(endpoint: Endpoint): Promise<MediaPlace> {
    if (endpoint.target.kind === 'echo') return new Place(await this.#options.pool.acquire(), undefined, () => {});
    const open = this.#enter(endpoint.id);
    const leave = () => this.#leave(endpoint.id, open);
    try {
      return new Place(await this.#options.pool.acquire(endpoint.id), open.room, leave);
    } catch (error) {
      leave();
      throw error;
    }
  }

  async open(spec: CallSpec, place: MediaPlace, listener: CallListener): Promise<MediaCall> {
    if (!(place instanceof Place)) throw new TypeError('a place of another media plane');
    let transport: WebRtcTransport;
    try {
      transport = await place.slot.router.createWebRtcTransport({
        webRtcServer: place.slot.webRtcServer,
        initialAvailableOutgoingBitrate: INITIAL_OUTGOING_BITRATE,
      });
    } catch (cause) {
      place.release();
      throw new CallgateError('unavailable', { cause });
    }
    return this.#open(transport, spec, place, listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#calls) call.close();
    await this.#options.pool.close();
  }

  async #open(transport: WebRtcTransport, spec: CallSpec, place: Place, listener: CallListener): Promise<MediaCall> {
    let call: Call | undefined;
    const release = () => {
      if (call) this.#calls.delete(call);
      place.release();
    };
    try {
      const profile = this.#profile(place.slot.router, spec.endpoint);
      const negotiation = new Negotiation(profile, spec.fingerprint);
      const makeTarget = this.#targetOf(place, profile);
      const server = this.#serverLines(place.slot, transport);
      call = await Call.open({ transport, negotiation, server, spec, listener, makeTarget, release });
    } catch (cause) {
      transport.close();
      place.release();
      throw new CallgateError('unavailable', { cause });
    }
    this.#calls.add(call);
    if (this.#closed) call.close();
    return call;
  }

  #targetOf({ slot: { router }, room }: Place, profile: Profile): CallParts['makeTarget'] {
    // Others see it, and it says nothing about the session.
    const participant = `p_${randomText(9, 'base64url')}`;
    return (call, wanted) =>
      room === undefined
        ? new EchoTarget(call, participant)
        : new RoomTarget(call, wanted, { room, router, profile, participant });
  }

  #serverLines({ webRtcServer }: RouterSlot, transport: WebRtcTransport): string {
    const lines = this.#servers.get(webRtcServer) ?? serverLines(transport);
    this.#servers.set(webRtcServer, lines);
    return lines;
  }

  /** All routers have the same codecs, so that a profile is good for every worker. */
  #profile(router: Router, { target, media }: Endpoint): Profile {
    const videoCodec = media.videoCodec ?? (target.kind === 'room' ? 'VP8' : undefined);
    const { simulcast, stereo } = media;
    const key = `${videoCodec} ${simulcast} ${stereo}`;
    const known = this.#profiles.get(key);
    if (known !== undefined) return known;
    const { startBitrateKbps } = this.#options;
    const profile = makeProfile(router.rtpCapabilities, { videoCodec, simulcast, stereo, startBitrateKbps });
    this.#profiles.set(key, profile);
    return profile;
  }

  #enter(id: string): OpenRoom {
    const open = this.#rooms.get(id) ?? { room: new Room(), places: 0 };
    if (open.places >= this.#options.maxRoomParticipants) throw new CallgateError('at_capacity', { retryable: true });
    this.#rooms.set(id, open);
    open.places++;
    return open;
  }

  #leave(id: string, open: OpenRoom): void {
    open.places--;
    if (open.places === 0 && this.#rooms.get(id) === open) this.#rooms.delete(id);
  }
}

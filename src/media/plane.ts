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

/** What is held for one call, from its reservation to its end. */
interface Held {
  readonly slot: RouterSlot;
  readonly room: Room | undefined;
  /** Called once. */
  release(): void;
}

/** Media on the workers of this process. */
export class LocalMedia implements MediaPlane {
  readonly #options: LocalMediaOptions;
  readonly #rooms = new Map<string, OpenRoom>();
  /** What no call has taken over yet, by the id of its place. */
  readonly #places = new Map<string, Held>();
  readonly #calls = new Set<Call>();
  readonly #profiles = new Map<string, Profile>();
  readonly #servers = new WeakMap<WebRtcServer, string>();
  #lastPlace = 0;
  #closed = false;

  constructor(options: LocalMediaOptions) {
    this.#options = options;
  }

  get ready(): boolean {
    return this.#options.pool.ready;
  }

  async reserve(endpoint: Endpoint): Promise<MediaPlace> {
    const held = await this.#hold(endpoint);
    const id = String(++this.#lastPlace);
    this.#places.set(id, held);
    return { id, release: () => this.#take(id)?.release() };
  }

  async open(spec: CallSpec, placeId: string, listener: CallListener): Promise<MediaCall> {
    const held = this.#take(placeId);
    if (held === undefined) throw new Error('no such place');
    try {
      const transport = await held.slot.router.createWebRtcTransport({
        webRtcServer: held.slot.webRtcServer,
        initialAvailableOutgoingBitrate: INITIAL_OUTGOING_BITRATE,
      });
      return this.#openOn(transport, spec, held, listener);
    } catch (cause) {
      held.release();
      throw new CallgateError('unavailable', { cause });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#calls) call.close();
    await this.#options.pool.close();
  }

  #openOn(transport: WebRtcTransport, spec: CallSpec, held: Held, listener: CallListener): Call {
    const profile = this.#profile(held.slot.router, spec.endpoint);
    const negotiation = new Negotiation(profile, spec.newOfferId, spec.fingerprint);
    const makeTarget = this.#targetOf(held, profile);
    const server = this.#serverLines(held.slot, transport);
    const release = () => {
      this.#calls.delete(call);
      held.release();
    };
    const call = new Call({ transport, negotiation, server, spec, listener, makeTarget, release });
    this.#calls.add(call);
    if (this.#closed) call.close();
    return call;
  }

  /** Of this id, which names it no more. */
  #take(id: string): Held | undefined {
    const held = this.#places.get(id);
    this.#places.delete(id);
    return held;
  }

  #targetOf({ slot: { router }, room }: Held, profile: Profile): CallParts['makeTarget'] {
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

  async #hold(endpoint: Endpoint): Promise<Held> {
    const { pool } = this.#options;
    if (endpoint.target.kind === 'echo') {
      const slot = await pool.acquire();
      return { slot, room: undefined, release: () => slot.release() };
    }
    const open = this.#enter(endpoint.id);
    const leave = () => this.#leave(endpoint.id, open);
    try {
      const slot = await pool.acquire(endpoint.id);
      return { slot, room: open.room, release: () => [slot.release(), leave()] };
    } catch (error) {
      leave();
      throw error;
    }
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

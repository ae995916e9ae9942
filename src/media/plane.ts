import type { Router, WebRtcServer, WebRtcTransport } from 'mediasoup/types';
import { CallgateError } from '../errors.ts';
import { makeProfile, type Profile } from '../sdp/codecs.ts';
import { Negotiation } from '../sdp/negotiation.ts';
import { serverLines } from '../sdp/offer.ts';
import { type Announced, announce } from './addresses.ts';
import { Call, type CallParts } from './call.ts';
import type { CallListener, CallSpec, MediaCall, MediaPlane, Reservation } from './media.ts';
import type { Room } from './room.ts';
import { Rooms } from './rooms.ts';
import { EchoTarget } from './targets/echo.ts';
import { RoomTarget } from './targets/room.ts';
import { StreamTarget } from './targets/stream.ts';
import type { WorkerPool } from './workers.ts';

type Endpoint = CallSpec['endpoint'];

export interface LocalMediaOptions {
  pool: Pick<WorkerPool, 'acquire' | 'ready' | 'close'>;
  /** What clients are told instead of local addresses; `current` is another object after every change. */
  announcement?: { readonly current: Announced; close(): void } | undefined;
  startBitrateKbps: number;
  maxRoomParticipants: number;
}

/** What a call may be sent before the first feedback tells more; the upper simulcast layer needs about this much. */
const INITIAL_OUTGOING_BITRATE = 1_000_000;

/** What one call holds, from its reservation to its end. */
interface CallResources {
  readonly router: Router;
  readonly webRtcServer: WebRtcServer;
  readonly room: Room | undefined;
  /** Called once. */
  release(): void;
}

/** Media on the workers of this process. */
export class LocalMedia implements MediaPlane {
  readonly #options: LocalMediaOptions;
  readonly #rooms: Rooms;
  /** What no call has taken over yet, by the id of its reservation. */
  readonly #reserved = new Map<string, CallResources>();
  readonly #calls = new Set<Call>();
  readonly #profiles = new Map<string, Profile>();
  readonly #servers = new WeakMap<WebRtcServer, { announced: Announced | undefined; lines: string }>();
  #lastId = 0;
  #closed = false;

  constructor(options: LocalMediaOptions) {
    this.#options = options;
    this.#rooms = new Rooms(options.pool, options.maxRoomParticipants);
  }

  /** How many rooms are open. */
  get rooms(): number {
    return this.#rooms.size;
  }

  /** Whether anybody is in the room of this endpoint, or about to be. */
  hasRoom(endpointId: string): boolean {
    return this.#rooms.has(endpointId);
  }

  get ready(): boolean {
    return this.#options.pool.ready;
  }

  async reserve(endpoint: Endpoint): Promise<Reservation> {
    const resources = await this.#allocate(endpoint);
    const id = String(++this.#lastId);
    this.#reserved.set(id, resources);
    return { id, release: () => this.#take(id)?.release() };
  }

  async open(spec: CallSpec, reservationId: string, listener: CallListener): Promise<MediaCall> {
    const resources = this.#take(reservationId);
    if (resources === undefined) throw new Error('no such reservation');
    try {
      const transport = await resources.router.createWebRtcTransport({
        webRtcServer: resources.webRtcServer,
        initialAvailableOutgoingBitrate: INITIAL_OUTGOING_BITRATE,
      });
      return this.#openOn(transport, spec, resources, listener);
    } catch (cause) {
      resources.release();
      throw new CallgateError('unavailable', { cause });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#calls) call.close();
    this.#options.announcement?.close();
    await this.#options.pool.close();
  }

  #openOn(transport: WebRtcTransport, spec: CallSpec, resources: CallResources, listener: CallListener): Call {
    const profile = this.#profile(resources.router, spec.endpoint);
    const negotiation = new Negotiation(profile, spec.newOfferId, spec.fingerprint);
    const makeTarget = this.#targetOf(spec, resources, profile);
    const server = this.#serverLines(resources, transport);
    const release = () => {
      this.#calls.delete(call);
      resources.release();
    };
    const call = new Call({ transport, negotiation, server, spec, listener, makeTarget, release });
    this.#calls.add(call);
    if (this.#closed) call.close();
    return call;
  }

  /** Takes over what is reserved under this id. */
  #take(id: string): CallResources | undefined {
    const resources = this.#reserved.get(id);
    this.#reserved.delete(id);
    return resources;
  }

  #targetOf(
    { sound, participant }: CallSpec,
    { router, room }: CallResources,
    profile: Profile,
  ): CallParts['makeTarget'] {
    return (call, wanted) => {
      if (room !== undefined) return new RoomTarget(call, wanted, { room, router, profile, participant });
      if (sound !== undefined) return new StreamTarget(call, { router, sound, cname: participant });
      return new EchoTarget(call, participant);
    };
  }

  #serverLines({ webRtcServer }: CallResources, transport: WebRtcTransport): string {
    const announced = this.#options.announcement?.current;
    const known = this.#servers.get(webRtcServer);
    if (known !== undefined && known.announced === announced) return known.lines;
    const { dtlsParameters, iceCandidates } = transport;
    const lines = serverLines({ dtlsParameters, iceCandidates: announce(iceCandidates, announced) });
    this.#servers.set(webRtcServer, { announced, lines });
    return lines;
  }

  /** All routers have the same codecs, so that a profile is good for every worker. */
  #profile(router: Router, { target, media }: Endpoint): Profile {
    const toOthers = target.kind === 'room';
    const toApplication = target.kind === 'stream';
    const { simulcast, stereo, videoCodec = toOthers ? 'VP8' : undefined } = media;
    const key = `${target.kind} ${videoCodec} ${simulcast} ${stereo}`;
    const known = this.#profiles.get(key);
    if (known !== undefined) return known;
    const { startBitrateKbps } = this.#options;
    const options = { toOthers, toApplication, videoCodec, simulcast, stereo, startBitrateKbps };
    const profile = makeProfile(router.rtpCapabilities, options);
    this.#profiles.set(key, profile);
    return profile;
  }

  async #allocate(endpoint: Endpoint): Promise<CallResources> {
    if (endpoint.target.kind !== 'room') return { ...this.#options.pool.acquire(), room: undefined };
    const { room, router, slot, release } = await this.#rooms.enter(endpoint.id);
    return { room, router, webRtcServer: slot.webRtcServer, release };
  }
}

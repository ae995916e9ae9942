import type { Producer, Router, WebRtcTransport, Worker } from 'mediasoup/types';
import type { EndpointMedia } from '../../src/directory/directory.ts';
import type { ListenSettings } from '../../src/media/addresses.ts';
import type { CallListener, CallSpec, MediaCall, Offer } from '../../src/media/media.ts';
import { LocalMedia, type LocalMediaOptions } from '../../src/media/plane.ts';
import { WorkerPool } from '../../src/media/workers.ts';
import { routerCodecs } from '../../src/sdp/codecs.ts';

export const MEDIA: EndpointMedia = { audio: true, video: true, simulcast: false };

export interface MediaFixture {
  plane: LocalMedia;
  pool: WorkerPool;
  /** Opens a call as the gateway does: reserve, then open. */
  open(spec?: SpecOptions): Promise<TestCall>;
  /** Transports, producers and consumers that the worker still has. */
  held(): Promise<{ transports: number; producers: number; consumers: number }>;
  /** Every transport that is open, as mediasoup's objects. */
  transports: ReadonlySet<WebRtcTransport>;
  /** Lines that the pool and mediasoup have logged. */
  logged: readonly unknown[];
  /** RIDs of the layers that have arrived at any producer. */
  layers(): Promise<string[]>;
  close(): Promise<void>;
}

export interface SpecOptions extends Partial<Omit<CallSpec, 'endpoint'>> {
  target?: 'echo' | 'room' | 'stream';
  /** Endpoint id; the room's name. */
  id?: string;
  allowed?: Partial<EndpointMedia>;
}

/** What a call tells after its first offer, in order, and a way to wait for it. */
export class Events implements CallListener {
  readonly offers: Offer[] = [];
  readonly #first = Promise.withResolvers<Offer>();
  #begun = false;
  readonly told: string[] = [];
  over = false;
  #waiting: { is: () => boolean; resolve: () => void }[] = [];

  get firstOffer(): Promise<Offer> {
    return this.#first.promise;
  }

  offer(offer: Offer): void {
    if (!this.#begun) {
      this.#begun = true;
      return this.#first.resolve(offer);
    }
    this.offers.push(offer);
    this.#tell(`offer ${offer.id}`);
  }

  connected(): void {
    this.#tell('connected');
  }

  reachable(reachable: boolean): void {
    this.#tell(reachable ? 'reachable' : 'unreachable');
  }

  lost(): void {
    this.over = true;
    this.#tell('lost');
  }

  ended(reason: string): void {
    this.over = true;
    this.#tell(`ended ${reason}`);
  }

  /** Resolves once the condition holds; the test's own time limit is the only one. */
  until(is: () => boolean): Promise<void> {
    if (is()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ is, resolve }));
  }

  has(what: string): Promise<void> {
    return this.until(() => this.told.includes(what));
  }

  #tell(what: string): void {
    this.told.push(what);
    for (const waiting of this.#waiting) if (waiting.is()) waiting.resolve();
    this.#waiting = this.#waiting.filter(({ is }) => !is());
  }
}

export interface TestCall {
  call: MediaCall & { firstOffer: Offer };
  events: Events;
}

export interface FixtureOptions {
  maxRoomParticipants?: number;
  listen?: ListenSettings;
  announcement?: LocalMediaOptions['announcement'];
}

export const startMedia = async (options: FixtureOptions = {}): Promise<MediaFixture> => {
  const { maxRoomParticipants = 50, listen = { addresses: ['127.0.0.1'] }, announcement } = options;
  const logged: unknown[] = [];
  const note = (...entry: unknown[]) => void logged.push(entry[1]);
  const pool = await WorkerPool.create({
    workers: 1,
    listen,
    maxCallsPerWorker: 1000,
    mediaCodecs: routerCodecs,
    log: { warn: note, error: note },
  });
  const routers = new Set<Router>();
  const producers = new Set<Producer>();
  const transports = new Set<WebRtcTransport>();
  const remember = (router: Router): Router => {
    if (routers.has(router)) return router;
    routers.add(router);
    router.observer.once('close', () => routers.delete(router));
    router.observer.on('newtransport', (transport) => {
      const webRtc = transport as WebRtcTransport;
      transports.add(webRtc);
      transport.observer.once('close', () => transports.delete(webRtc));
      transport.observer.on('newproducer', (producer) => {
        producers.add(producer);
        producer.observer.once('close', () => producers.delete(producer));
      });
    });
    return router;
  };
  const remembering = {
    acquire: (on?: Worker) => {
      const slot = pool.acquire(on);
      remember(slot.router);
      return { ...slot, createRouter: () => slot.createRouter().then(remember) };
    },
    get ready() {
      return pool.ready;
    },
    close: () => pool.close(),
  };
  const plane = new LocalMedia({ pool: remembering, announcement, startBitrateKbps: 1000, maxRoomParticipants });
  return {
    plane,
    pool,
    transports,
    logged,
    open: (options) => openCall(plane, options),
    held: async () => {
      const dumps = await Promise.all([...routers].map((router) => router.dump()));
      const entries = dumps.flatMap(({ mapProducerIdConsumerIds }) => mapProducerIdConsumerIds);
      return {
        transports: dumps.flatMap(({ transportIds }) => transportIds).length,
        producers: entries.length,
        consumers: entries.flatMap(({ values }) => values).length,
      };
    },
    layers: async () => {
      const stats = await Promise.all([...producers].map((producer) => producer.getStats()));
      return stats
        .flat()
        .flatMap(({ rid, packetCount }) => (rid !== undefined && packetCount > 0 ? rid : []))
        .sort();
    },
    close: () => plane.close(),
  };
};

let participants = 0;

const openCall = async (
  plane: LocalMedia,
  { target = 'echo', id = `ep_${target}`, allowed = {}, ...given }: SpecOptions = {},
): Promise<TestCall> => {
  const endpoint = { id, target: { kind: target }, media: { ...MEDIA, ...allowed } };
  const events = new Events();
  let offers = 0;
  const newOfferId = () => String(++offers);
  const spec = {
    sessionId: 'sess_test',
    endpoint,
    media: {},
    participant: `p_${++participants}`,
    newOfferId,
    ...given,
  };
  const call = await plane.open(spec, (await plane.reserve(endpoint)).id, events);
  call.start();
  return { call: Object.assign(call, { firstOffer: await events.firstOffer }), events };
};

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import { isReachable } from '../config/media-addresses.ts';
import type { Announced } from './addresses.ts';

type Log = Pick<Logger, 'info' | 'warn'>;

/** The addresses of a host name; `dns.lookup` also reads /etc/hosts. */
export type Resolve = (name: string) => Promise<string[]>;

const LOOK_AGAIN_MS = 60_000;

/** More of a family would only make every offer longer. */
const MAX_ADDRESSES = 4;

const resolveName: Resolve = async (name) => (await lookup(name, { all: true })).map(({ address }) => address);

/**
 * What clients are told instead of local addresses. A host name is told as its addresses, because Firefox, aiortc and
 * GStreamer do not resolve one in a candidate; it is looked up again every minute.
 */
export class Announcement {
  readonly #name: string;
  readonly #log: Log;
  readonly #resolve: Resolve;
  #current: Announced;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #failing = false;

  /** Rejects with an Error for people when the name has no address that clients could reach. */
  static async open(address: string, log: Log, resolve: Resolve = resolveName): Promise<Announcement> {
    if (isIP(address)) return new Announcement(address, byFamily([address], false), log, resolve);
    const found = await usable(address, resolve).catch((cause: Error) => {
      throw new Error(`the announced address ${address} cannot be resolved: ${cause.message}`, { cause });
    });
    const announcement = new Announcement(address, found, log, resolve);
    announcement.#lookLater();
    return announcement;
  }

  private constructor(name: string, current: Announced, log: Log, resolve: Resolve) {
    this.#name = name;
    this.#current = current;
    this.#log = log;
    this.#resolve = resolve;
  }

  /** Another object after every change. */
  get current(): Announced {
    return this.#current;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #lookLater(): void {
    if (!this.#closed) this.#timer = setTimeout(() => void this.#look(), LOOK_AGAIN_MS);
  }

  async #look(): Promise<void> {
    const name = this.#name;
    try {
      const found = await usable(name, this.#resolve);
      this.#failing = false;
      if (JSON.stringify(found) !== JSON.stringify(this.#current)) {
        this.#current = found;
        this.#log.info(
          { name, addresses: [...found[4], ...found[6]] },
          'the announced name has other addresses; new calls get them',
        );
      }
    } catch (err) {
      if (!this.#failing)
        this.#log.warn({ name, err }, 'the announced name cannot be resolved; what it had stays in force');
      this.#failing = true;
    }
    this.#lookLater();
  }
}

const usable = async (name: string, resolve: Resolve): Promise<Announced> => {
  const found = (await resolve(name)).filter(isReachable);
  if (found.length === 0) throw new Error('it has no address that clients can reach');
  return byFamily(found, true);
};

/** In an order of their own: a name server turns them with each answer. */
const byFamily = (addresses: readonly string[], name: boolean): Announced => {
  const of = (family: number) => [...new Set(addresses)].filter((address) => isIP(address) === family).sort();
  return { 4: of(4).slice(0, MAX_ADDRESSES), 6: of(6).slice(0, MAX_ADDRESSES), name };
};

import type { Socket } from 'node:net';
import { type PeerAddress, socketAddress } from './address.ts';

export interface ConnectionLimits {
  /** Connections that an address may have. */
  perAddress: number;
  /** Whether loopback is limited as well. */
  limitLoopback: boolean;
  /** With proxies in front connections are theirs, and only WebSockets are one client's. */
  behindProxies: boolean;
  /** Whether a connection is merely kept for another request. */
  isIdle(socket: Socket): boolean;
}

/** Those that wait for their first request or their refusal, beyond the cap. */
const MAX_BEYOND = 100;

/** What an address has. */
interface Holder {
  /** In the order in which they came. */
  open: Set<Socket>;
  /** Those that were refused, and close. */
  refused: number;
}

/**
 * The cap on connections of an address, HTTP and WebSockets together. A new one closes the oldest that is idle. When none
 * is, it may ask once and hears why it is refused.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #holders = new Map<string, Holder>();
  readonly #holderOf = new WeakMap<Socket, Holder>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** Counts a new connection in. */
  open(socket: Socket): void {
    if (this.#limits.behindProxies) return;
    const holder = this.#count(socket, socketAddress(socket));
    if (holder === undefined || holder.open.size <= this.#limits.perAddress) return;
    const idle = holder.open.values().find((other) => other !== socket && this.#limits.isIdle(other));
    if (idle) idle.destroy();
    else if (holder.open.size + holder.refused > this.#limits.perAddress + MAX_BEYOND) socket.destroy();
  }

  /** Whether a WebSocket of this address is within the cap, or one of a few beyond it that may carry a session all the same. */
  admitSocket(socket: Socket, peer: PeerAddress): 'within' | 'beyond' | 'refused' {
    if (this.#limits.behindProxies) this.#count(socket, peer);
    if (this.admit(socket)) return 'within';
    return (this.#holderOf.get(socket)?.refused ?? 0) <= MAX_BEYOND ? 'beyond' : 'refused';
  }

  /** Counts a connection beyond the cap in: it stays, and the next one has to wait for it. */
  countIn(socket: Socket): void {
    const holder = this.#holderOf.get(socket);
    if (holder === undefined || holder.open.has(socket) || socket.destroyed) return;
    holder.refused--;
    holder.open.add(socket);
  }

  /** Whether a connection is within the cap; one that is not no longer counts, and is to be closed. */
  admit(socket: Socket): boolean {
    const holder = this.#holderOf.get(socket);
    if (holder === undefined || holder.open.size <= this.#limits.perAddress) return true;
    if ([...holder.open].indexOf(socket) < this.#limits.perAddress) return true;
    holder.open.delete(socket);
    holder.refused++;
    return false;
  }

  #count(socket: Socket, { key, loopback }: PeerAddress): Holder | undefined {
    if (key === undefined || (loopback && !this.#limits.limitLoopback)) return undefined;
    const holder = this.#holders.get(key) ?? { open: new Set(), refused: 0 };
    this.#holders.set(key, holder);
    this.#holderOf.set(socket, holder);
    holder.open.add(socket);
    socket.once('close', () => {
      if (!holder.open.delete(socket)) holder.refused--;
      if (holder.open.size + holder.refused === 0) this.#holders.delete(key);
    });
    return holder;
  }
}

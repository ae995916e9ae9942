import { setTimeout as sleep } from 'node:timers/promises';
import type { RoomHolders } from '../session/others.ts';
import type { NodeBoard } from './board.ts';

/** How often rooms that are over are let go, and those that are not claimed again: a failover may have forgotten it. */
const ROUND_MS = 5000;

export interface RoomClaimsOptions {
  /** Id of this node. */
  node: string;
  board: Pick<NodeBoard, 'holdRoom' | 'releaseRoom'>;
  isDead(node: string): boolean;
  /** Whether anybody is in the room here, or about to be. */
  isOpen(endpointId: string): boolean;
  /** Another living node has the room as well: ours go there, with their tickets. */
  handOver(endpointId: string): void;
}

/** The rooms that this node holds among all others. Owns a timer, and a key in the store for each room. */
export class RoomClaims implements RoomHolders {
  readonly #options: RoomClaimsOptions;
  /** The latest claim of each room that this node holds, or asks for. */
  readonly #claims = new Map<string, Claim>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: RoomClaimsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#round(), ROUND_MS).unref();
  }

  holder(endpointId: string): Promise<string> {
    const claim = this.#claims.get(endpointId);
    // The round looks after it, once somebody is in it.
    const stands = claim && (this.#options.isOpen(endpointId) || isFresh(claim));
    return stands ? claim.holder : this.#claim(endpointId);
  }

  /** Lets go of all rooms. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const released = Promise.all([...this.#claims.keys()].map((endpointId) => this.#release(endpointId)));
    await Promise.race([released, sleep(500, undefined, { ref: false })]);
  }

  #claim(endpointId: string): Promise<string> {
    const claim = { holder: this.#ask(endpointId), at: performance.now() };
    this.#claims.set(endpointId, claim);
    const drop = () => {
      if (this.#claims.get(endpointId) === claim) this.#claims.delete(endpointId);
    };
    claim.holder.then((holder) => holder === this.#options.node || drop(), drop);
    return claim.holder;
  }

  async #ask(endpointId: string): Promise<string> {
    const { node, board, isDead } = this.#options;
    const holder = await board.holdRoom(endpointId, node);
    return holder !== node && isDead(holder) ? board.holdRoom(endpointId, node, holder) : holder;
  }

  async #round(): Promise<void> {
    const { node, isOpen, handOver } = this.#options;
    for (const [endpointId, claim] of [...this.#claims]) {
      if (isFresh(claim)) continue;
      if (!isOpen(endpointId)) {
        await this.#release(endpointId);
        continue;
      }
      // A store that is away is asked again in the next round.
      const holder = await this.#ask(endpointId).catch(() => node);
      if (holder === node) continue;
      this.#claims.delete(endpointId);
      handOver(endpointId);
    }
  }

  async #release(endpointId: string): Promise<void> {
    const { node, board } = this.#options;
    const released = await board.releaseRoom(endpointId, node).then(
      () => true,
      () => false,
    );
    if (released) this.#claims.delete(endpointId);
  }
}

interface Claim {
  readonly holder: Promise<string>;
  /** When it was made, monotonic. */
  readonly at: number;
}

/** Whoever claimed it may be about to come in. */
const isFresh = ({ at }: Claim): boolean => performance.now() - at < ROUND_MS;

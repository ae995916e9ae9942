import type { Router, Worker } from 'mediasoup/types';
import { Room } from './room.ts';
import { atCapacity, type WorkerPool, type WorkerSlot } from './workers.ts';

/** One participant's slot in a room. */
export interface RoomSlot {
  readonly room: Room;
  readonly router: Router;
  readonly slot: WorkerSlot;
  /** Leaves the room and frees the slot on its worker; idempotent. */
  release(): void;
}

interface OpenRoom {
  readonly room: Room;
  readonly worker: Worker;
  readonly router: Promise<Router>;
  /** Those who have joined it or are about to. */
  participants: number;
}

/** Who is in which room: each is open while somebody is in it, with a router of its own on one worker. */
export class Rooms {
  readonly #pool: Pick<WorkerPool, 'acquire'>;
  readonly #maxParticipants: number;
  readonly #open = new Map<string, OpenRoom>();

  constructor(pool: Pick<WorkerPool, 'acquire'>, maxParticipants: number) {
    this.#pool = pool;
    this.#maxParticipants = maxParticipants;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  has(id: string): boolean {
    return this.#find(id) !== undefined;
  }

  /** Rejects with `CallgateError('at_capacity', {retryable: true})` when the room, or its worker, is full. */
  async enter(id: string): Promise<RoomSlot> {
    const known = this.#find(id);
    if (known !== undefined && known.participants >= this.#maxParticipants) throw atCapacity();
    const slot = this.#pool.acquire(known?.worker);
    const open = known ?? this.#openOn(slot, id);
    open.participants++;
    try {
      const router = await open.router;
      let held = true;
      const release = () => {
        if (held) this.#leave(id, open, slot, router);
        held = false;
      };
      return { room: open.room, router, slot, release };
    } catch (cause) {
      // The worker died while it made the router; another one can take the call.
      this.#leave(id, open, slot);
      throw atCapacity(cause);
    }
  }

  /** A room ends with its worker; whoever comes next opens another. */
  #find(id: string): OpenRoom | undefined {
    const open = this.#open.get(id);
    return open?.worker.closed ? undefined : open;
  }

  #openOn(slot: WorkerSlot, id: string): OpenRoom {
    const open = { room: new Room(), worker: slot.worker, router: slot.createRouter(), participants: 0 };
    this.#open.set(id, open);
    return open;
  }

  #leave(id: string, open: OpenRoom, slot: WorkerSlot, router?: Router): void {
    slot.release();
    open.participants--;
    if (open.participants > 0) return;
    if (this.#open.get(id) === open) this.#open.delete(id);
    router?.close();
  }
}

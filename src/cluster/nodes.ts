import { CallgateError } from '../errors.ts';
import type { StoreLog } from '../redis/connection.ts';
import { Outage } from '../shared/outage.ts';
import type { Announcement } from './announcement.ts';
import type { NodeBoard } from './board.ts';
import { type Sighted, Sightings } from './sightings.ts';

/** How often a process announces itself, and looks for the others. */
const ROUND_MS = 1000;

export interface NodesOptions {
  board: NodeBoard;
  /** Id of this node. */
  id: string;
  /** What it has to say at this moment. */
  announcement: () => Announcement;
  log: StoreLog;
}

/** The processes on one Redis: announces this one every second, and knows who else is there. Owns its timer. */
export class Nodes {
  readonly #options: NodesOptions;
  readonly #board: NodeBoard;
  readonly #outage: Outage;
  readonly #sightings: Sightings;
  readonly #lookers = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: NodesOptions) {
    this.#options = options;
    this.#sightings = new Sightings(options.id);
    this.#outage = new Outage(options.log, 'this process announces itself to the others again');
    this.#board = options.board;
  }

  /** Announces this node, and from then on by itself. Waits up to 2 s for a Redis that is away, and never rejects. */
  open(): Promise<void> {
    return this.#next();
  }

  /** Calls back whenever the others were looked at; returns what ends that. */
  onLook(look: () => void): () => void {
    this.#lookers.add(look);
    return () => this.#lookers.delete(look);
  }

  /** The board's key holds something else, so that nobody can be seen. */
  unreadable(redis_key: string, reason: string): void {
    this.#outage.began({ redis_key, reason }, 'this key holds what callgate cannot have written: delete it');
  }

  /** All that are announced, this one too, as last seen. */
  get all(): Sighted[] {
    return this.#sightings.all;
  }

  /**
   * Whether a node has said nothing for 4 s, as this process saw it. Not known to be dead is also who was never heard of: it
   * is watched for from the first question on.
   */
  isDead(node: string): boolean {
    return this.#sightings.isDead(node);
  }

  /** Takes this node off the list. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#round;
    await this.#board.leave(this.#options.id).catch(() => undefined);
  }

  #next(): Promise<void> {
    const began = performance.now();
    this.#round = this.#exchange().finally(() => {
      if (this.#closed) return;
      const wait = Math.max(ROUND_MS - (performance.now() - began), 0);
      this.#timer = setTimeout(() => void this.#next(), wait).unref();
    });
    return this.#round;
  }

  /** What fails is done again in the next round. */
  async #exchange(): Promise<void> {
    const { id, announcement } = this.#options;
    try {
      this.#sightings.look(await this.#board.announce(id, announcement()), performance.now());
      this.#outage.ended();
      for (const look of this.#lookers) look();
    } catch (error) {
      // Who is away is told by the token store.
      if (error instanceof CallgateError) return;
      this.#outage.began({ err: error }, 'this process cannot announce itself to the others; trying again');
    }
  }
}

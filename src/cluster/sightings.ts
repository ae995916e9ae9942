import type { Posted } from './announcement.ts';
import type { BoardState } from './board.ts';

/** Silent for so long, a node is dead. */
export const DEAD_MS = 4000;

/** A node is not called dead before it was watched for so long: the clock that its age is told by may have jumped. */
const WATCHED_MS = 2000;

/** Between two looks at the board no more than this counts as silence: who cannot look knows nothing of the others. */
const LONGEST_ROUND_MS = 2000;

/** Who was silent for so long is forgotten. */
const FORGET_MS = 120_000;

interface Sighting {
  /** What it last said; undefined for one that was asked for and not seen. */
  posted: Posted | undefined;
  /** How old that was when it was first seen, by the clock of the Redis. */
  ageMs: number;
  /** For how long the same has stood there since, as this process saw it. */
  watchedMs: number;
}

/** A node as this process sees it. */
export interface Sighted extends Posted {
  ageMs: number;
  dead: boolean;
}

/**
 * When each node was last heard of, by this process's own monotonic clock: a silence counts only while the board can be looked
 * at, and neither jumps of the Redis's clock nor an outage of it make a node seem dead. Pure: the clock is an argument.
 */
export class Sightings {
  readonly #own: string;
  readonly #seen = new Map<string, Sighting>();
  #lookedAt: number | undefined;

  /** `own` is never dead. */
  constructor(own: string) {
    this.#own = own;
  }

  /** Takes in what stood on the board at `at`, monotonic milliseconds. */
  look({ now, nodes }: BoardState, at: number): void {
    const roundMs = Math.min(at - (this.#lookedAt ?? at), LONGEST_ROUND_MS);
    this.#lookedAt = at;
    for (const sighting of this.#seen.values()) sighting.watchedMs += roundMs;
    for (const posted of nodes) {
      if (this.#seen.get(posted.id)?.posted?.at === posted.at) continue;
      this.#seen.set(posted.id, { posted, ageMs: Math.max(now - posted.at, 0), watchedMs: 0 });
    }
    for (const [id, sighting] of this.#seen) if (silenceOf(sighting) > FORGET_MS) this.#seen.delete(id);
  }

  isDead(id: string): boolean {
    if (id === this.#own) return false;
    const sighting = this.#seen.get(id);
    if (sighting) return isDead(sighting);
    // A name that nobody has: it may have come after the last look, or be lost with a failover. From now on it is watched for.
    if (this.#lookedAt !== undefined) this.#seen.set(id, { posted: undefined, ageMs: 0, watchedMs: 0 });
    return false;
  }

  /** All that announced themselves, this process too. */
  get all(): Sighted[] {
    return [...this.#seen.values()].flatMap((sighting) => {
      const { posted } = sighting;
      return posted
        ? [{ ...posted, ageMs: silenceOf(sighting), dead: posted.id !== this.#own && isDead(sighting) }]
        : [];
    });
  }
}

const silenceOf = ({ ageMs, watchedMs }: Sighting): number => ageMs + watchedMs;

const isDead = (sighting: Sighting): boolean => silenceOf(sighting) >= DEAD_MS && sighting.watchedMs >= WATCHED_MS;

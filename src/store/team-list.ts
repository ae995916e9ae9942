import type { CallTokenRecord, ListPage, ListPosition, ListQuery } from './store.ts';

/** Entries of an index that one page looks at, at most; with filters that match little a page is then short. */
const MAX_LOOKED_AT = 500;
const BATCH = 100;

export interface ListEntry {
  position: ListPosition;
  record: CallTokenRecord | undefined;
}

/**
 * Fills one page: reads batch after batch of an index (`next` gives the entries after a position, newest first) until
 * the page is full, the index ends, or enough was looked at.
 */
export async function collectPage(
  { team, endpointId, status, limit, after }: ListQuery,
  next: (after: ListPosition | undefined, count: number) => Promise<ListEntry[]>,
): Promise<ListPage> {
  const records: CallTokenRecord[] = [];
  const filtered = endpointId !== undefined || status !== undefined;
  let last = after;
  for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT; ) {
    // One more than the page takes, to know whether there is more.
    const count = filtered || lookedAt > 0 ? BATCH : limit + 1;
    const entries = await next(last, count);
    for (const { position, record } of entries) {
      if (records.length === limit) return { records, next: last };
      last = position;
      if (record === undefined || record.team !== team) continue;
      if (endpointId !== undefined && record.endpointId !== endpointId) continue;
      if (status === undefined || record.status === status) records.push(record);
    }
    if (entries.length < count) return { records, next: undefined };
    lookedAt += entries.length;
  }
  return { records, next: last };
}

/** Ids of one team's tokens by the time they were created, for a store that lives in one process. */
export class TeamList {
  /** Oldest first. */
  readonly #positions: ListPosition[] = [];

  /** A clock that fell back puts a token among older ones. */
  add(position: ListPosition): void {
    let at = this.#positions.length;
    while (at > 0 && isBefore(position, this.#positions[at - 1]!)) at--;
    this.#positions.splice(at, 0, position);
  }

  /** Up to `count` positions before `after`, newest first. */
  page(after: ListPosition | undefined, count: number): ListPosition[] {
    const end = after === undefined ? this.#positions.length : this.#indexOf(after);
    return this.#positions.slice(Math.max(end - count, 0), end).reverse();
  }

  /** Forgets what `keep` denies; false when nothing is left. */
  prune(keep: (id: string) => boolean): boolean {
    const kept = this.#positions.filter(({ id }) => keep(id));
    this.#positions.splice(0, this.#positions.length, ...kept);
    return kept.length > 0;
  }

  /** The first index that is not before a position. */
  #indexOf(position: ListPosition): number {
    let [low, high] = [0, this.#positions.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(this.#positions[middle]!, position)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const isBefore = (a: ListPosition, b: ListPosition): boolean => (a.at === b.at ? a.id < b.id : a.at < b.at);

import type { AdoptionRefusal } from './store.ts';

/** Beside the current ticket and the one before; older ones are forgotten, and then mean nothing. */
const MAX_OLDER = 8;
const MAX_TICKETS = 2 + MAX_OLDER;

/**
 * The tickets of a session, the newest first, once a node that adopts it was shown one of them and gives out its successor. The one
 * before the current is good as well: its client never heard of the current one, which is dropped. Older ones were used before.
 */
export function rotated(
  tickets: readonly string[],
  shown: string,
  successor: string,
): readonly string[] | Exclude<AdoptionRefusal, 'moved'> {
  const place = tickets.indexOf(shown);
  if (place < 0) return 'gone';
  if (place > 1) return 'reused';
  return [successor, ...tickets.slice(place)].slice(0, MAX_TICKETS);
}

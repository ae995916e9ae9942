import { Cluster, Command } from 'ioredis';
import type { RedisClient } from '../../redis/connection.ts';

const SLOTS = 16_384;

/** Which shard holds which key: one for a Redis by itself or behind Sentinels, the owners of slots in a Cluster. */
export interface ShardMap {
  /** The name of each shard, and a key that lies there. */
  readonly keys: ReadonlyMap<string, string>;
  nameOf(key: string): string;
}

/** The only shard has no name, because there is nothing to tell it from. */
const ONE: ShardMap = { keys: new Map([['', keyOf(0)]]), nameOf: () => '' };

/** The shards as the client knows them now. They are named by their slots, which stay the same when a replica takes over. */
export function shardMapOf(client: RedisClient): ShardMap {
  const owners = client instanceof Cluster ? ownersOf(client) : [];
  const names = new Set(owners.filter((name) => name !== undefined));
  if (names.size === 0) return ONE;
  const keys = new Map<string, string>();
  for (let number = 0; keys.size < names.size && number < SLOTS; number++) {
    const name = owners[slotOf(keyOf(number))];
    if (name !== undefined && !keys.has(name)) keys.set(name, keyOf(number));
  }
  return { keys, nameOf: (key) => owners[slotOf(key)] ?? '' };
}

/** The name of the shard of each slot that has one. */
function ownersOf({ slots }: Cluster): (string | undefined)[] {
  const ranges = new Map<string, [first: number, last: number][]>();
  for (let slot = 0; slot < SLOTS; slot++) {
    const master = slots[slot]?.[0];
    if (master === undefined) continue;
    const own = ranges.get(master) ?? [];
    ranges.set(master, own);
    const range = own.at(-1);
    if (range?.[1] === slot - 1) range[1] = slot;
    else own.push([slot, slot]);
  }
  const owners = new Array<string | undefined>(SLOTS).fill(undefined);
  for (const own of ranges.values()) {
    const name = `slots ${own.map(([first, last]) => `${first}-${last}`).join(',')}`;
    for (const [first, last] of own) owners.fill(name, first, last + 1);
  }
  return owners;
}

const slotOf = (key: string): number => new Command('get', [key]).getSlot();

function keyOf(number: number): string {
  return `callgate:{probe:${number}}`;
}

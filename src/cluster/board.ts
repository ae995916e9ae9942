import type { RedisSource } from '../redis/access.ts';
import { type CallOptions, type CallWatch, RedisCaller } from '../redis/caller.ts';
import { createRedis, type RedisClient } from '../redis/connection.ts';
import { type Announcement, type Posted, readPosted } from './announcement.ts';

/** One hash: a node's id -> its announcement (JSON) with `at`, the Redis's own time of its writing, at the end. */
const KEY = 'callgate:nodes';

/** What was last announced so long ago is swept: no session of it can be adopted any more. */
const SWEEP_MS = 60_000;

/**
 * ARGV: id of the node, its announcement (or nothing: it leaves), age in ms from which others are swept. Without an id nothing
 * is written. Answers the time in ms, and ids and announcements in turn. What goes is left out when the hash is written anew,
 * so that callgate needs no right (ACL) for this alone.
 */
const EXCHANGE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, kept, swept = redis.call('HGETALL', KEYS[1]), {}, false
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '"at":(%d+)}$'))
  if not at or math.abs(now - at) > tonumber(ARGV[3]) then
    swept = true
  elseif all[i] ~= ARGV[1] then
    kept[#kept + 1] = all[i]
    kept[#kept + 1] = all[i + 1]
  end
end
if ARGV[1] == '' then return {now, kept} end
if swept or ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  for i = 1, #kept, 2 do redis.call('HSET', KEYS[1], kept[i], kept[i + 1]) end
end
if ARGV[2] ~= '' then
  local own = string.sub(ARGV[2], 1, -2) .. ',"at":' .. string.format('%.0f', now) .. '}'
  redis.call('HSET', KEYS[1], ARGV[1], own)
  kept[#kept + 1] = ARGV[1]
  kept[#kept + 1] = own
end
return {now, kept}`;

/** The secret that the processes of one machine prove to each other, where no file holds one. */
const SECRET_KEY = 'callgate:cluster:secret';

/** ARGV: a fresh secret. Answers the one that all use. */
const SECRET = `
local known = redis.call('GET', KEYS[1])
if known then return known end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]`;

/** The node that the endpoint's room is at. */
const roomKey = (endpointId: string): string => `callgate:{endpoint:${endpointId}}:room:`;

/** ARGV: id of a node, and of one that is dead (or nothing). Answers the holder of the room: that node, unless another has it. */
const HOLD = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and holder ~= ARGV[2] then return holder end
if holder ~= ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
return ARGV[1]`;

/** ARGV: id of the node that leaves the room; only its holder does. */
const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`;

type Reply = [now: number, entries: string[]];

interface Steps {
  callgateNodes: (key: string, id: string, announcement: string, sweepMs: number) => Promise<Reply>;
  callgateSecret: (key: string, fresh: string) => Promise<string>;
  callgateHoldRoom: (key: string, id: string, dead: string) => Promise<string>;
  callgateReleaseRoom: (key: string, id: string) => Promise<number>;
}

/** All that stood on the board at one moment, `now` by the clock of the Redis. */
export interface BoardState {
  now: number;
  nodes: Posted[];
}

/** Where the processes on one Redis announce themselves to each other. Owns its connection. */
export class NodeBoard {
  readonly #client: RedisClient & Steps;
  readonly #caller: RedisCaller;
  #wasThere = false;

  /** @throws TypeError when the URL is of no accepted form */
  constructor(redis: RedisSource, watch?: CallWatch) {
    // Of an outage the token store tells, on its own connection.
    const client = createRedis(redis, { warn: () => undefined });
    const scripts = {
      callgateNodes: EXCHANGE,
      callgateSecret: SECRET,
      callgateHoldRoom: HOLD,
      callgateReleaseRoom: RELEASE,
    };
    for (const [name, lua] of Object.entries(scripts)) client.defineCommand(name, { numberOfKeys: 1, lua });
    this.#client = client as RedisClient & Steps;
    this.#caller = new RedisCaller(client, watch);
  }

  /** Rejects with `unavailable`, like the others. */
  read(): Promise<BoardState> {
    return this.#exchange('', '');
  }

  /** Writes what this node says of itself; one try once there was a connection, for it is written again soon. */
  async announce(id: string, announcement: Announcement): Promise<BoardState> {
    const state = await this.#exchange(id, JSON.stringify(announcement), { oneTry: this.#wasThere });
    this.#wasThere = true;
    return state;
  }

  /** One try: who is left on the board is soon taken for dead. */
  async leave(id: string): Promise<void> {
    await this.#exchange(id, '', { oneTry: true });
  }

  /** The secret of the processes on this Redis: `fresh`, unless there is one. */
  secret(fresh: string): Promise<string> {
    return this.#caller.call(SECRET_KEY, () => this.#client.callgateSecret(SECRET_KEY, fresh));
  }

  /** The node that holds the room of an endpoint: `id` from now on, unless another one does that is not `dead`. */
  holdRoom(endpointId: string, id: string, dead = ''): Promise<string> {
    const key = roomKey(endpointId);
    return this.#caller.call(key, () => this.#client.callgateHoldRoom(key, id, dead));
  }

  async releaseRoom(endpointId: string, id: string): Promise<void> {
    const key = roomKey(endpointId);
    await this.#caller.call(key, () => this.#client.callgateReleaseRoom(key, id), { oneTry: true });
  }

  close(): void {
    this.#caller.close();
    this.#client.disconnect();
  }

  async #exchange(id: string, announcement: string, options?: CallOptions): Promise<BoardState> {
    const step = () => this.#client.callgateNodes(KEY, id, announcement, SWEEP_MS);
    const [now, entries] = await this.#caller.call(KEY, step, options);
    const nodes = entries.flatMap((id, i) => (i % 2 === 0 ? (readPosted(id, entries[i + 1] ?? '') ?? []) : []));
    return { now, nodes };
  }
}

/** Steps beside the records, each on a slot of its own: the index of a team's tokens, the idempotency keys and the probes. */

/**
 * A team's index, a sorted set `callgate:{team:<team>}:tokens` of token ids by the microsecond in which they were added. What
 * it holds longer than any record lives is dropped, and the whole set a while after its last token.
 *
 * ARGV: token id, longest life of a record in ms. Repeating it is safe: a token keeps its place.
 */
const LIST_ADD = `
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], 'NX', time[1] .. string.format('%06d', time[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', (time[1] * 1000 - ARGV[2]) * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`;

/**
 * ARGV: the time and the id after which to go on ('+inf' and nothing from the start), how many. Answers ids and times,
 * newest first, ids from high to low within a microsecond.
 */
const LIST_PAGE = `
local skipped = 0
if ARGV[2] ~= '' then
  for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1])) do
    if id >= ARGV[2] then skipped = skipped + 1 end
  end
end
return redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', skipped, ARGV[3])`;

/** ARGV: age in ms, token ids. Drops those that are at least so old. */
const LIST_DROP = `
local time = redis.call('TIME')
local old = (time[1] * 1000 - ARGV[1]) * 1000
for i = 2, #ARGV do
  local at = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if at and tonumber(at) <= old then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return 1`;

/** ARGV: hash of the request, token id, how long a claim holds in ms. Answers mine, busy or reused, or done and the id. */
const CLAIM = `
local entry = redis.call('HMGET', KEYS[1], 'request', 'token', 'settled')
if not entry[1] then
  redis.call('HSET', KEYS[1], 'request', ARGV[1], 'token', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 'mine'
end
if entry[1] ~= ARGV[1] then return 'reused' end
if entry[3] then return {entry[2]} end
return entry[2] == ARGV[2] and 'mine' or 'busy'`;

/** ARGV: token id, how long a settled claim answers in ms. Answers 1 when the claim is settled with this token. */
const SETTLE = `
local entry = redis.call('HMGET', KEYS[1], 'token', 'settled')
if entry[1] ~= ARGV[1] then return 0 end
if not entry[2] then
  redis.call('HSET', KEYS[1], 'settled', 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1`;

/** ARGV: token id. */
const RELEASE = `
local entry = redis.call('HMGET', KEYS[1], 'token', 'settled')
if entry[1] == ARGV[1] and not entry[2] then redis.call('DEL', KEYS[1]) end
return 1`;

/** ARGV: how long the key stays, in ms. Answers the clock of a shard that takes writes. */
const PROBE = `
local time = redis.call('TIME')
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
return time[1] * 1000 + math.floor(time[2] / 1000)`;

export interface SideSteps {
  callgateListAdd: (key: string, id: string, keepMs: number) => Promise<number>;
  callgateListDrop: (key: string, ageMs: number, ...ids: string[]) => Promise<number>;
  callgateListPage: (key: string, from: number | '+inf', after: string, count: number) => Promise<string[]>;
  callgateClaim: (
    key: string,
    request: string,
    tokenId: string,
    claimMs: number,
  ) => Promise<'mine' | 'busy' | 'reused' | [tokenId: string]>;
  callgateSettle: (key: string, tokenId: string, keepMs: number) => Promise<number>;
  callgateRelease: (key: string, tokenId: string) => Promise<number>;
  callgateProbe: (key: string, keepMs: number) => Promise<number>;
}

export const SIDE_SCRIPTS: Record<keyof SideSteps, string> = {
  callgateListAdd: LIST_ADD,
  callgateListDrop: LIST_DROP,
  callgateListPage: LIST_PAGE,
  callgateClaim: CLAIM,
  callgateSettle: SETTLE,
  callgateRelease: RELEASE,
  callgateProbe: PROBE,
};

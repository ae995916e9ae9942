/**
 * The places of an endpoint: a sorted set `callgate:{endpoint:<id>}:places` of sessions by the end of their lease, by
 * the steady clock. It has no time to live, because Redis counts that by the clock that may jump; the set vanishes with
 * its last member, and what a crash leaves in it is at most the endpoint's places and is purged by the next call.
 *
 * ARGV: now (steady clock), lease ms, max, session. Answers 1 when the session has a place. A lease that ends later
 * than a fresh one would was counted by a clock that has since fallen back, and is cut to the length of a fresh one.
 */
const ACQUIRE = `
local now, fresh = tonumber(ARGV[1]), ARGV[1] + ARGV[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, session in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', fresh), '+inf')) do
  redis.call('ZADD', KEYS[1], fresh, session)
end
if not redis.call('ZSCORE', KEYS[1], ARGV[4]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], fresh, ARGV[4])
return 1`;

/**
 * The steady clock, a hash `callgate:clock` that all processes advance together: it gains the time that passed by TIME
 * since the tick before, but never less than nothing and never more than the cap. A jump of TIME in either direction,
 * or a failover to a server whose clock differs, thus moves it by no more than the cap, and no lease with it.
 *
 * ARGV: cap ms, and what the caller's own count says (or nothing): if the hash was lost, time goes on from there rather
 * than from TIME, which may be far from what the leases were counted by. Answers the steady time in ms.
 */
const TICK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local clock = redis.call('HMGET', KEYS[1], 'steady', 'last')
local steady, last = tonumber(clock[1]), tonumber(clock[2])
if steady and last then
  steady = steady + math.min(math.max(now - last, 0), tonumber(ARGV[1]))
else
  steady = tonumber(ARGV[2]) or now
end
redis.call('HSET', KEYS[1], 'steady', steady, 'last', now)
return steady`;

export interface LeaseSteps {
  callgateAcquire: (key: string, now: number, leaseMs: number, max: number, session: string) => Promise<number>;
  callgateTick: (key: string, capMs: number, known: number | '') => Promise<number>;
}

export const LEASE_SCRIPTS: Record<keyof LeaseSteps, string> = { callgateAcquire: ACQUIRE, callgateTick: TICK };

import type { ForeignToken } from '../store.ts';
import { TICK_MS } from './steady-clock.ts';
import { TOKEN_SCRIPTS, type TokenSteps } from './token-scripts.ts';

/**
 * How long a generation may have gone on after the last tick that was replicated: the fences are ticked, and a master whose
 * replica lags by more than 10 s (`min-replicas-max-lag`, checked once a second) should have stopped.
 */
const UNSEEN_MS = TICK_MS + 11_000;

/**
 * No token is valid for longer after its burn, by the gateway's own clock (600 s and the largest leeway, 60 s, at both
 * ends). So no generation refuses tokens for longer, however far apart the clocks of two servers are.
 */
const LONGEST_MS = 720_000;

/**
 * The scripts for foreign tokens. These have no record before their burn, so a store that lost the record of a burn would
 * accept the token again. Each partition (a hash tag) therefore has a fence beside its records: the shard's generation (the
 * field `life`), when that began, and when it was last seen. The generation is the `master_replid`, which changes on promotion,
 * failover and restart, with the number of evicted keys, because a record may be among them. Tokens issued before it began are
 * refused. A missing fence is new, or was lost together with the records; either way the generation begins now.
 *
 * A new generation may run on another server's clock, so it begins a little later than now. If that clock is behind by more,
 * the earlier generation shows it: by what the caller remembers (the earlier generation and what its clock must say now, both
 * empty when it remembers nothing), or else by when it was last seen.
 */
const SINCE = (key: string, generation: string, clock: string) => `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local life = replid .. ' ' .. string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
local fence = redis.call('HMGET', ${key}, 'life', 'since', 'seen')
local before, since, seen = fence[1], tonumber(fence[2]) or 0, tonumber(fence[3]) or 0
local remembered = ${generation} ~= life and tonumber(${clock})
if before ~= life then
  since = math.max(since, (before or remembered) and now + 1000 or now)
  if before and before ~= ${generation} then since = math.max(since, seen + ${UNSEEN_MS}) end
end
if remembered and remembered > now + 1000 then since = math.max(since, remembered + 1000) end
since = math.min(since, now + ${LONGEST_MS})
redis.call('HSET', ${key}, 'life', life, 'since', since, 'seen', now)`;

/** KEYS: the fence. ARGV: what the caller remembers. Answers now, since when the shard has all burns, and its generation. */
const FENCE = `${SINCE('KEYS[1]', 'ARGV[1]', 'ARGV[2]')}
return {now, since, life}`;

/**
 * KEYS: the record and the fence of its partition. ARGV: as for a burn, then team, issued, expires, max duration in ms,
 * fingerprint and what the caller remembers. Makes the record that the burn then finds, with an end of its own: the burn
 * reads the clock again, and may find the token expired by then. Answers as a burn does, or in how many ms the token is
 * issued.
 */
const BURN_FOREIGN = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  ${SINCE('KEYS[2]', 'ARGV[14]', 'ARGV[15]')}
  local issued, expires = tonumber(ARGV[10]), tonumber(ARGV[11])
  if issued < since then return 'token_unknown' end
  if issued > now then return {issued - now} end
  if now >= expires then return 'token_expired' end
  redis.call('HSET', KEYS[1], 'status', 'issued', 'endpoint', ARGV[1], 'team', ARGV[9], 'created', issued,
    'expires', expires, 'max_duration', ARGV[12], 'fingerprint', ARGV[13], 'replid', replid)
  redis.call('PEXPIRE', KEYS[1], expires - now + ARGV[5])
end
${TOKEN_SCRIPTS.callgateBurn}`;

export interface ForeignTokenSteps {
  callgateFence: (
    key: string,
    generation: string,
    clock: number | '',
  ) => Promise<[now: number, since: number, generation: string]>;
  callgateBurnForeign: (
    key: string,
    fenceKey: string,
    ...args: (string | number)[]
  ) => Promise<Awaited<ReturnType<TokenSteps['callgateBurn']>> | [earlyMs: number]>;
}

export const FOREIGN_TOKEN_SCRIPTS: Record<keyof ForeignTokenSteps, string> = {
  callgateFence: FENCE,
  callgateBurnForeign: BURN_FOREIGN,
};

export const foreignTokenArgs = ({ team, issuedAt, expiresAt, maxDurationSeconds, fingerprint }: ForeignToken) =>
  [team, issuedAt, expiresAt, Math.round(maxDurationSeconds * 1000), fingerprint ?? ''] as const;

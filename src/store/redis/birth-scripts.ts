import type { Birth } from '../store.ts';
import { TICK_MS } from './steady-clock.ts';
import { TOKEN_SCRIPTS, type TokenSteps } from './token-scripts.ts';

/**
 * How long a life may have gone on after the last that the next one saw of it: the fences are ticked, and a replica that
 * lags by more than 10 s (`min-replicas-max-lag`, looked at once a second) should have stopped its master.
 */
const UNSEEN_MS = TICK_MS + 11_000;

/**
 * No token is good for longer after its burn, by the gateway's own clock (600 s and the largest leeway, 60 s, at both
 * ends). A life whose clock is behind by more, or that follows one whose clock was far ahead, need not refuse for longer.
 */
const LONGEST_MS = 720_000;

/**
 * The steps of tokens minted elsewhere. They have no record before their burn, so a store that has forgotten a burn would
 * take the token again. Each partition (a hash tag) therefore has a fence beside its records: the shard's present
 * life, since when that lasts, and when it was last seen. A life is its `master_replid`, which changes on
 * promotion, failover and restart, and how many keys it has evicted, a record perhaps among them. Tokens issued before are
 * refused. A fence that is missing is new, or was lost with the records: then nothing from before is known either.
 *
 * A life that follows another one may count by another server's clock, and begins a little later than now. If that clock
 * is behind by more, the life before shows it: by what the caller remembers (`life` and what the clock of that life must
 * say at this moment, both empty where nothing is remembered), or else by what was seen of it before it was lost.
 */
const SINCE = (key: string, life: string, clock: string) => `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local life = replid .. ' ' .. string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
local fence = redis.call('HMGET', ${key}, 'life', 'since', 'seen')
local before, since, seen = fence[1], tonumber(fence[2]) or 0, tonumber(fence[3]) or 0
local remembered = ${life} ~= life and tonumber(${clock})
if before ~= life then
  since = math.max(since, (before or remembered) and now + 1000 or now)
  if before and before ~= ${life} then since = math.max(since, seen + ${UNSEEN_MS}) end
end
if remembered and remembered > now + 1000 then since = math.max(since, remembered + 1000) end
since = math.min(since, now + ${LONGEST_MS})
redis.call('HSET', ${key}, 'life', life, 'since', since, 'seen', now)`;

/** KEYS: the fence. ARGV: what the caller remembers. Answers now, since when the shard remembers all burns, and its life. */
const FENCE = `${SINCE('KEYS[1]', 'ARGV[1]', 'ARGV[2]')}
return {now, since, life}`;

/**
 * KEYS: the record and the fence of its partition. ARGV: as for a burn, then team, issued, expires, max duration in ms,
 * fingerprint and what the caller remembers. Makes the record that the burn then finds, with an end of its own: the burn
 * reads the clock again, and may find the token expired by then. Answers as a burn does, or in how many ms the token is
 * issued.
 */
const BIRTH = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  ${SINCE('KEYS[2]', 'ARGV[11]', 'ARGV[12]')}
  local issued, expires = tonumber(ARGV[7]), tonumber(ARGV[8])
  if issued < since then return 'token_unknown' end
  if issued > now then return {issued - now} end
  if now >= expires then return 'token_expired' end
  redis.call('HSET', KEYS[1], 'status', 'issued', 'endpoint', ARGV[1], 'team', ARGV[6], 'created', issued,
    'expires', expires, 'max_duration', ARGV[9], 'fingerprint', ARGV[10], 'replid', replid)
  redis.call('PEXPIRE', KEYS[1], expires - now + ARGV[5])
end
${TOKEN_SCRIPTS.callgateBurn}`;

export interface BirthSteps {
  callgateFence: (key: string, life: string, clock: number | '') => Promise<[now: number, since: number, life: string]>;
  callgateBirth: (
    key: string,
    fenceKey: string,
    ...args: (string | number)[]
  ) => Promise<Awaited<ReturnType<TokenSteps['callgateBurn']>> | [earlyMs: number]>;
}

export const BIRTH_SCRIPTS: Record<keyof BirthSteps, string> = { callgateFence: FENCE, callgateBirth: BIRTH };

export const birthArgs = ({ team, issuedAt, expiresAt, maxDurationSeconds, fingerprint }: Birth) =>
  [team, issuedAt, expiresAt, Math.round(maxDurationSeconds * 1000), fingerprint ?? ''] as const;

import type { Birth } from '../store.ts';
import { TOKEN_SCRIPTS, type TokenSteps } from './token-scripts.ts';

/**
 * The steps of tokens minted elsewhere. They have no record before their burn, so a store that has forgotten a burn would
 * take the token again. Each partition (a hash tag) therefore has a fence beside its records: the shard's present
 * life and since when that lasts. A life is its `master_replid`, which changes on promotion, failover and restart, and how
 * many keys it has evicted, a record perhaps among them. Tokens issued before are refused. A fence that is missing is new,
 * or was lost with the records: then nothing from before is known either.
 *
 * A life that follows another one may count by another server's clock; its beginning is put a little later than now.
 */
const SINCE = (key: string) => `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local life = replid .. ' ' .. string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
local fence = redis.call('HMGET', ${key}, 'life', 'since')
local since = tonumber(fence[2])
if fence[1] ~= life or not since then
  since = since and now + 1000 or now
  redis.call('HSET', ${key}, 'life', life, 'since', since)
end`;

/** KEYS: the fence. Answers now and since when the shard remembers all burns. */
const FENCE = `${SINCE('KEYS[1]')}
return {now, since}`;

/**
 * KEYS: the record and the fence of its partition. ARGV: as for a burn, then team, issued, expires, max duration in ms and
 * fingerprint. Makes the record that the burn then finds, with an end of its own: the burn reads the clock again, and may
 * find the token expired by then. Answers as a burn does, or in how many ms the token is issued.
 */
const BIRTH = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  ${SINCE('KEYS[2]')}
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
  callgateFence: (key: string) => Promise<[now: number, since: number]>;
  callgateBirth: (
    key: string,
    fenceKey: string,
    ...args: (string | number)[]
  ) => Promise<Awaited<ReturnType<TokenSteps['callgateBurn']>> | [earlyMs: number]>;
}

export const BIRTH_SCRIPTS: Record<keyof BirthSteps, string> = { callgateFence: FENCE, callgateBirth: BIRTH };

export const birthArgs = ({ team, issuedAt, expiresAt, maxDurationSeconds, fingerprint }: Birth) =>
  [team, issuedAt, expiresAt, Math.round(maxDurationSeconds * 1000), fingerprint ?? ''] as const;

import type { BurnRefusal } from '../store.ts';
import { NOW, REPLID, type Step } from './script-parts.ts';

/** Where revoked sessions are announced, to all processes of a store. */
export const REVOKED_CHANNEL = 'callgate:revoked';

/**
 * The steps of a token's record, one script each. A record is one hash under `callgate:{<family>}:<random>`, so that a
 * refresh can change two records of a family in one step. Every script reads TIME at most once and decides by it alone.
 *
 * The fence: `master_replid` changes on promotion, on failover and on restart. An issued record with another
 * one may be a copy from before its burn, and is refused.
 */

/**
 * ARGV: endpoint, team, ttl ms, max duration ms, metadata, fingerprint, retention ms. Answers created and expires, or nothing when
 * the id is taken. Repeating it is safe: the same record gives the same times.
 */
const ISSUE = `${NOW}${REPLID}
local known = redis.call('HMGET', KEYS[1], 'status', 'endpoint', 'team', 'created', 'expires')
if known[1] then
  if known[1] == 'issued' and known[2] == ARGV[1] and known[3] == ARGV[2] then
    return {tonumber(known[4]), tonumber(known[5])}
  end
  return false
end
local expires = now + ARGV[3]
redis.call('HSET', KEYS[1], 'status', 'issued', 'endpoint', ARGV[1], 'team', ARGV[2], 'created', now,
  'expires', expires, 'max_duration', ARGV[4], 'metadata', ARGV[5], 'fingerprint', ARGV[6], 'replid', replid())
redis.call('PEXPIRE', KEYS[1], ARGV[3] + ARGV[7])
return {now, expires}`;

/**
 * KEYS: the record and its successor's, on one slot. ARGV: ttl ms (or nothing, for the same as before), the successor's
 * id, retention ms. Answers a refusal, or created and expires of the successor. The record remembers its successor, so
 * that repeating the step gives the same answer.
 */
const REFRESH = `${NOW}${REPLID}
local old = redis.call('HMGET', KEYS[1], 'status', 'replid', 'created', 'expires', 'successor',
  'endpoint', 'team', 'max_duration', 'metadata', 'fingerprint')
if not old[1] then return 'unknown' end
if old[1] == 'revoked' and old[5] == ARGV[2] then
  local new = redis.call('HMGET', KEYS[2], 'created', 'expires', 'status', 'replid')
  if new[3] == 'issued' and new[4] == replid() and now < tonumber(new[2]) then
    return {tonumber(new[1]), tonumber(new[2])}
  end
end
if old[1] ~= 'issued' or old[2] ~= replid() or now >= tonumber(old[4]) then return 'not_issued' end
local ttl = tonumber(ARGV[1]) or old[4] - old[3]
if redis.call('HGET', KEYS[2], 'status') then return 'not_issued' end
redis.call('HSET', KEYS[1], 'status', 'revoked', 'revoked', now, 'successor', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], 'status', 'issued', 'endpoint', old[6], 'team', old[7], 'created', now,
  'expires', now + ttl, 'max_duration', old[8], 'metadata', old[9] or '', 'fingerprint', old[10] or '', 'replid', old[2])
redis.call('PEXPIRE', KEYS[2], ttl + ARGV[3])
return {now, now + ttl}`;

/**
 * ARGV: endpoint, session, end of the lease (steady clock), lease ms, retention ms, node, tickets, resume. Answers a refusal, or
 * remaining ms, started, expires and epoch. The same session asking again while it is active gets the same yes; asking from another
 * node, that one has it from then on.
 */
const BURN = `${NOW}${REPLID}
local token = redis.call('HMGET', KEYS[1], 'status', 'endpoint', 'replid', 'expires', 'max_duration', 'session')
local status = token[1]
if not status or token[2] ~= ARGV[1] then return 'token_unknown' end
if status == 'issued' then
  if token[3] ~= replid() then return 'token_unknown' end
  if now >= tonumber(token[4]) then return 'token_expired' end
  local remaining = tonumber(token[5])
  redis.call('HSET', KEYS[1], 'status', 'active', 'session', ARGV[2], 'started', now, 'ends', now + remaining,
    'lease', ARGV[3], 'lapses', now + ARGV[4], 'node', ARGV[6], 'epoch', 1, 'tickets', ARGV[7], 'resume', ARGV[8])
  redis.call('PEXPIRE', KEYS[1], math.max(remaining, token[4] - now) + ARGV[5])
  return {remaining, now, now + remaining, 1}
end
if status == 'revoked' then return 'token_revoked' end
if status == 'active' and token[6] == ARGV[2] then
  local held = redis.call('HMGET', KEYS[1], 'started', 'ends', 'node', 'epoch')
  local epoch = tonumber(held[4]) or 0
  if held[3] ~= ARGV[6] then
    epoch = epoch + 1
    redis.call('HSET', KEYS[1], 'node', ARGV[6], 'epoch', epoch, 'tickets', ARGV[7], 'resume', ARGV[8],
      'lease', ARGV[3], 'lapses', now + ARGV[4])
  end
  return {math.max(held[2] - now, 0), tonumber(held[1]), tonumber(held[2]), epoch}
end
return 'token_used'`;

/**
 * ARGV: team (or nothing, for any). Answers now, the shard's replid and the fields of the record, or nothing. The record of
 * another team is denied before it is read: that must take no longer than where there is none.
 */
const READ = `
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'team') ~= ARGV[1] then return false end
${NOW}${REPLID}
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then return false end
return {now, replid(), fields}`;

/**
 * ARGV: retention ms, team (or nothing, for any), prefix of session ids. Answers what the token was. A session whose lease lapsed may live on behind an outage, so its
 * revocation is recorded as well, and so may one whose burn a failover forgot. The announcement may fail (a user without the channel): the record is what counts.
 */
const REVOKE = `
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], 'team') ~= ARGV[2] then return 'unknown' end
${NOW}${REPLID}
local token = redis.call('HMGET', KEYS[1], 'status', 'replid', 'expires', 'session')
local status = token[1]
if not status then return 'unknown' end
if status == 'active' then
  redis.call('HSETNX', KEYS[1], 'revoked', now)
  redis.pcall('PUBLISH', '${REVOKED_CHANNEL}', (string.gsub(token[4], '^_', ARGV[3] .. '_')))
end
if status == 'active' or status == 'revoked' then return status end
if status ~= 'issued' then return 'ended' end
if token[2] ~= replid() then
  redis.call('HSETNX', KEYS[1], 'revoked', now)
  return 'ended'
end
if now >= tonumber(token[3]) then return 'ended' end
redis.call('HSET', KEYS[1], 'status', 'revoked', 'revoked', now)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 'revoked'`;

export interface TokenSteps {
  callgateIssue: Step<[created: number, expires: number] | null>;
  callgateBurn: Step<BurnRefusal | [remaining: number, started: number, expires: number, epoch: number]>;
  callgateRead: Step<[now: number, replid: string, fields: string[]] | null>;
  callgateRevoke: Step<'revoked' | 'active' | 'ended' | 'unknown'>;
  callgateRefresh: (
    key: string,
    successorKey: string,
    ttlMs: number | '',
    successorId: string,
    retentionMs: number,
  ) => Promise<'unknown' | 'not_issued' | [created: number, expires: number]>;
}

export const TOKEN_SCRIPTS: Record<keyof TokenSteps, string> = {
  callgateIssue: ISSUE,
  callgateBurn: BURN,
  callgateRead: READ,
  callgateRevoke: REVOKE,
  callgateRefresh: REFRESH,
};

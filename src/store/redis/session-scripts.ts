import { NOW, REPLID, type Step } from './script-parts.ts';

/**
 * Who holds a session: the fields `node` and `epoch` of its record. Each adoption raises the epoch, and whoever holds a lower one
 * has been left behind: it can neither renew nor finish. A copy that a failover brought back may hold a lower one than the
 * node does that holds the session, which then writes its own.
 *
 * ARGV: session, node, epoch, end of the lease (steady clock), lease ms, retention ms, tickets, resume, started, ends, and whether the node
 * lets go (1) or not. Answers what the session is: 0 over, gone or let go of, 1 held, 2 held and revoked, 3 moved. A record that is still issued,
 * where another server had issued it, has forgotten its burn, and is written again.
 */
const HOLD = `${NOW}${REPLID}
local token = redis.call('HMGET', KEYS[1], 'status', 'session', 'node', 'epoch', 'revoked', 'replid', 'expires')
local leaves = ARGV[11] == '1'
if token[1] == 'issued' and token[6] ~= replid() then
  redis.call('HSET', KEYS[1], 'status', 'active', 'session', ARGV[1], 'started', ARGV[9], 'ends', ARGV[10])
  redis.call('PEXPIRE', KEYS[1], math.max(ARGV[10] - now, token[7] - now, 0) + ARGV[6])
else
  if token[2] ~= ARGV[1] then return 0 end
  local ahead = (tonumber(token[4]) or 0) - ARGV[3]
  if ahead > 0 or ahead == 0 and token[3] ~= ARGV[2] and token[3] ~= '' then return 3 end
  if token[1] ~= 'active' or ahead == 0 and token[3] == '' and not leaves then return 0 end
end
redis.call('HSET', KEYS[1], 'node', leaves and '' or ARGV[2], 'epoch', ARGV[3], 'tickets', ARGV[7], 'resume', ARGV[8],
  'lease', ARGV[4], 'lapses', now + ARGV[5])
return token[5] and 2 or 1`;

/**
 * ARGV: session, node, epoch, reason, retention ms, started, ends. Answers 1 when the session was held there. The record of a foreign token is
 * the only proof that it was used, so no record goes before its token has expired. The epoch is written, so that nobody who
 * was left behind takes the session for his own when a failover had forgotten the adoption. What only a living session needs goes;
 * Redis makes no small hash of a large one again, so that one is written anew.
 */
const FINISH = `${NOW}${REPLID}
local token = redis.call('HMGET', KEYS[1], 'status', 'session', 'node', 'epoch', 'expires', 'replid', 'tickets', 'resume')
if token[1] == 'issued' and token[6] ~= replid() then
  redis.call('HSET', KEYS[1], 'session', ARGV[1], 'started', ARGV[6], 'ends', ARGV[7], 'lease', 0, 'lapses', 0)
else
  if token[1] ~= 'active' or token[2] ~= ARGV[1] then return 0 end
  local ahead = (tonumber(token[4]) or 0) - ARGV[3]
  if ahead > 0 or ahead == 0 and token[3] ~= ARGV[2] and token[3] ~= '' then return 0 end
end
redis.call('HSET', KEYS[1], 'status', 'completed', 'ended', now, 'reason', ARGV[4], 'node', ARGV[2], 'epoch', ARGV[3],
  'tickets', '', 'resume', '')
if #(token[7] or '') > 64 or #(token[8] or '') > 64 then
  local fields = redis.call('HGETALL', KEYS[1])
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], unpack(fields))
end
redis.call('PEXPIRE', KEYS[1], math.max(ARGV[5], token[5] - now))
return 1`;

/**
 * ARGV: session, node, node and epoch of who held it, ticket, successor, now (steady clock), lease ms, retention ms. Answers a refusal;
 * \`forgotten\` where the burn may have been; or epoch, remaining ms, started, ends, endpoint, team, revoked, tickets, resume. The
 * rule of the tickets is that of \`rotated\` in src/store/tickets.ts.
 */
const ADOPT = `${NOW}${REPLID}
local token = redis.call('HMGET', KEYS[1], 'status', 'session', 'node', 'epoch', 'tickets', 'resume', 'lease', 'lapses', 'started', 'ends',
  'endpoint', 'team', 'revoked', 'expires', 'reason', 'replid')
if token[1] == 'issued' and token[16] ~= replid() then return 'forgotten' end
if token[2] ~= ARGV[1] then return 'gone' end
local epoch, next = tonumber(token[4]) or 0, ARGV[4] + 1
local again = token[3] == ARGV[2] and epoch == next
if token[1] ~= 'active' then return again and token[15] == 'ticket_reused' and 'reused' or 'gone' end
local function answer(tickets)
  return {next, math.max(token[10] - now, 0), tonumber(token[9]), tonumber(token[10]), token[11], token[12], token[13] and 1 or 0,
    tickets, token[6] or ''}
end
local tickets = {}
for ticket in string.gmatch(token[5] or '', '[^,]+') do tickets[#tickets + 1] = ticket end
if again and tickets[1] == ARGV[6] then return answer(token[5]) end
if tonumber(ARGV[7]) >= tonumber(token[7]) then return 'gone' end
if token[3] ~= ARGV[3] or epoch ~= tonumber(ARGV[4]) then return 'moved' end
local place
for index, ticket in ipairs(tickets) do
  if ticket == ARGV[5] then place = index break end
end
if not place then return 'gone' end
if place > 2 then
  redis.call('HSET', KEYS[1], 'status', 'completed', 'ended', now, 'reason', 'ticket_reused', 'node', ARGV[2], 'epoch', next,
    'tickets', '', 'resume', '')
  redis.call('PEXPIRE', KEYS[1], math.max(ARGV[9], token[14] - now))
  return 'reused'
end
local rotated = table.concat({ARGV[6], unpack(tickets, place, place + 8)}, ',')
redis.call('HSET', KEYS[1], 'node', ARGV[2], 'epoch', next, 'tickets', rotated, 'lease', ARGV[7] + ARGV[8], 'lapses', now + ARGV[8])
return answer(rotated)`;

type AdoptAnswer = [
  epoch: number,
  remaining: number,
  started: number,
  ends: number,
  endpoint: string,
  team: string,
  revoked: number,
  tickets: string,
  resume: string,
];

export interface SessionSteps {
  callgateHold: Step<0 | 1 | 2 | 3>;
  callgateFinish: Step<number>;
  callgateAdopt: Step<'gone' | 'reused' | 'moved' | 'forgotten' | AdoptAnswer>;
}

export const SESSION_SCRIPTS: Record<keyof SessionSteps, string> = {
  callgateHold: HOLD,
  callgateFinish: FINISH,
  callgateAdopt: ADOPT,
};

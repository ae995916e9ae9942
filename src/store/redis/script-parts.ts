/** Parts that the scripts of a record have in common. Each reads TIME once at most. */
export const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** The shard's replication id, which changes on promotion, on failover and on restart. */
export const REPLID = `
local function replid()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end`;

export type Step<Reply> = (key: string, ...args: (string | number)[]) => Promise<Reply>;

import type { Logger } from 'pino';
import type { RedisSource } from '../redis/access.ts';
import { MemoryTokenStore } from './memory-store.ts';
import { RedisTokenStore } from './redis-store.ts';

/** The store in Redis, or in memory without one. `fences`: whether foreign tokens are taken. */
export function openStore(
  redis: RedisSource | undefined,
  { fences, log }: { fences: boolean; log: Logger },
): RedisTokenStore | MemoryTokenStore {
  if (redis !== undefined) return new RedisTokenStore(redis, { log, fences });
  log.info('no Redis is configured: tokens are kept in memory, for this process alone');
  return new MemoryTokenStore();
}

import type { Config } from '../config/config.ts';
import type { RedisSource } from '../redis/access.ts';
import type { Directory } from './directory.ts';
import { FileDirectory } from './file-directory.ts';
import type { DirectoryLog, LiveDirectory } from './live.ts';
import { RedisDirectory } from './redis-directory.ts';
import { withApiKey } from './tenants.ts';

/**
 * The directory of the tenants file, or without one of the Redis that it is published to. The demo's team gets the key
 * that was made at this start.
 * @throws {ConfigError} when the file cannot be used
 */
export function openDirectory(
  { tenants }: Config,
  redis: RedisSource | undefined,
  log: DirectoryLog,
  demoKeySha256: string | undefined,
): LiveDirectory {
  if (tenants === undefined) return new RedisDirectory(redis ?? '', log);
  if (redis !== undefined) log.info({}, 'the tenants file is in force here; what is published to the Redis is not');
  return new FileDirectory(tenants, log, (directory) => withDemoKey(directory, demoKeySha256));
}

function withDemoKey(directory: Directory, sha256: string | undefined): Directory {
  const [endpoint] = directory.endpoints;
  if (sha256 === undefined || endpoint === undefined) return directory;
  const scopes = new Set(['CREATE_CALL_TOKEN', 'READ_CALL_TOKEN'] as const);
  return withApiKey(directory, { id: 'demo', team: endpoint.team, sha256: Buffer.from(sha256, 'hex'), scopes });
}

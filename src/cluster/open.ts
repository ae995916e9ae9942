import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import type { RedisSource } from '../redis/access.ts';
import type { StoreLog } from '../redis/connection.ts';
import { Nodes } from './nodes.ts';

/** The protocol of links that this release speaks. */
const PROTOCOL = 1;

const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
const { version: VERSION } = JSON.parse(manifest) as { version: string };

/** How much media a process takes, and has. */
export interface Capacity {
  readonly capacity: number;
  readonly calls: number;
  /** How busy it is, 1 for fully. */
  readonly load: number;
}

export interface OpenNodesOptions {
  id: string;
  config: Pick<Config, 'node' | 'roles'>;
  redis: RedisSource;
  media: Capacity;
  log: StoreLog;
}

/** This process among those on its Redis, not announced yet. */
export function openNodes({ id, config, redis, media, log }: OpenNodesOptions): Nodes {
  const { name = hostname(), region } = config.node;
  const fixed = {
    name,
    roles: config.roles,
    ...(region !== undefined && { region }),
    version: VERSION,
    protocol: PROTOCOL,
  };
  const announcement = () => {
    const { capacity, calls, load } = media;
    return { ...fixed, capacity, calls, load: Math.round(load * 1000) / 1000, draining: false };
  };
  return new Nodes({ id, redis, announcement, log });
}

/** Where the store is, read from `REDIS_URL`. */
export type RedisTarget = { username?: string; password?: string; tls: boolean } & (
  | { kind: 'single'; host: string; port: number; db: number }
  | { kind: 'sentinel'; nodes: HostPort[]; master: string; db: number }
  | { kind: 'cluster'; nodes: HostPort[] }
);

export interface HostPort {
  host: string;
  port: number;
}

const URL_FORM = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^@/?#]+)(?:\/([^/]*))?(?:\/(\d+))?$/;
const NODE_FORM = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/;

/**
 * Reads `redis://[user:password@]host[:port][/db]`,
 * `redis+sentinel://[user:password@]host[:port],…/<master name>[/db]` and `redis+cluster://[user:password@]host[:port],…`.
 * `rediss` in place of `redis` means TLS everywhere. The credentials are those of the Redis nodes.
 * @throws TypeError that names the accepted forms and repeats nothing of the URL, which may hold a password
 */
export function parseRedisUrl(url: string): RedisTarget {
  const [, scheme, kind, userInfo, hosts = '', path = '', db = '0'] = URL_FORM.exec(url) ?? [];
  const access = { tls: scheme === 'rediss', ...(userInfo !== undefined && readCredentials(userInfo)) };
  if (kind === 'sentinel') {
    if (!path) refuse();
    return { kind: 'sentinel', nodes: readNodes(hosts, 26_379), master: path, db: Number(db), ...access };
  }
  const nodes = readNodes(hosts, 6379);
  if (kind === 'cluster') return path ? refuse() : { kind: 'cluster', nodes, ...access };
  const [node] = nodes;
  if (!scheme || !node || nodes.length > 1 || !/^\d{0,4}$/.test(path)) refuse();
  return { kind: 'single', ...node, db: Number(path), ...access };
}

function readCredentials(userInfo: string): { username?: string; password?: string } {
  const [username = '', ...rest] = userInfo.split(':').map(decode);
  const password = rest.join(':');
  return { ...(username && { username }), ...(password && { password }) };
}

function readNodes(hosts: string, defaultPort: number): HostPort[] {
  return hosts.split(',').map((node) => {
    const [, host, port = defaultPort] = NODE_FORM.exec(node) ?? [];
    if (!host || Number(port) > 65_535) refuse();
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse();
  }
}

function refuse(): never {
  throw new TypeError(
    'the Redis URL is none of redis://host:port/db, redis+sentinel://host:port,…/master/db, redis+cluster://host:port,… (with TLS: rediss)',
  );
}

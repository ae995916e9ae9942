import { isIP } from 'node:net';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { isLoopback } from '../shared/loopback.ts';
import { splitHostPort } from './host-port.ts';
import { listenMistake } from './media-addresses.ts';
import { FILES, fileMistake, type NamedFile, READABLE } from './named-files.ts';
import {
  ANNOUNCED_ADDRESS,
  type Config,
  ConfigSchema,
  HOST_PORT,
  NODE_NAME,
  PORT_RANGE,
  REDIS_URL_FORMS,
} from './schema.ts';
import { unknownVariables } from './unknown-variables.ts';
import { ConfigError, fitSchema, type Loose, listOf, type Path, readYamlFile, type YamlFile } from './yaml-file.ts';

export type { Config };

/** Where each variable goes, and what it may be. */
const VARIABLES: Readonly<Record<string, { path: Path; allowed: string } | NamedFile>> = {
  PORT: { path: ['http', 'port'], allowed: 'a whole number from 0 to 65535' },
  HOST: { path: ['http', 'host'], allowed: 'an IP address or host name' },
  REDIS_URL: { path: ['redis_url'], allowed: REDIS_URL_FORMS },
  CALLGATE_TENANTS: FILES.tenants,
  CALLGATE_SIGNING_KEYS: FILES.signingKeys,
  CALLGATE_ANNOUNCED_ADDRESS: { path: ['media', 'announced_address'], allowed: ANNOUNCED_ADDRESS },
  CALLGATE_NODE_NAME: { path: ['node', 'name'], allowed: NODE_NAME },
  CALLGATE_REGION: { path: ['node', 'region'], allowed: NODE_NAME },
  CALLGATE_CLUSTER_LISTEN: { path: ['cluster', 'listen'], allowed: HOST_PORT },
  CALLGATE_CLUSTER_ADDRESS: { path: ['cluster', 'address'], allowed: HOST_PORT },
  CALLGATE_CLUSTER_SECRET_FILE: FILES.clusterSecret,
  CALLGATE_RTC_PORTS: { path: ['media', 'rtc_ports'], allowed: PORT_RANGE },
  MEDIASOUP_WORKER_BIN: FILES.workerBin,
  LOG_LEVEL: { path: ['log_level'], allowed: `one of ${ConfigSchema.properties.log_level.enum.join(', ')}` },
};

const DEMO_TENANTS = fileURLToPath(new URL('../../config/tenants.yaml', import.meta.url));
const DEMO_ENDS_WITH = ['CALLGATE_CONFIG', 'CALLGATE_TENANTS', 'REDIS_URL'];

/**
 * The settings of this process, frozen: the file that CALLGATE_CONFIG names, overridden by the environment. An empty
 * variable counts as unset, and one that begins with CALLGATE_ and is not known is a mistake. Paths in the file are relative to the file, others to the working directory. The demo is a
 * start with none of CALLGATE_CONFIG, CALLGATE_TENANTS and REDIS_URL: shipped tenants, loopback only.
 * @throws {ConfigError} with every mistake that was found.
 */
export function loadConfig(env: Environment = process.env): {
  config: Config;
  demo: boolean;
  /** Files in force that nobody else should read. */
  secretFiles: string[];
} {
  const demo = DEMO_ENDS_WITH.every((name) => !env[name]);
  const config = readConfig(env, demo);
  const mistakes = contradictions(config, demo);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return { config: deepFreeze(config), demo, secretFiles: secretsOf(config, env) };
}

/** The settings file is one of them where it holds a password. */
function secretsOf({ redis_url = '', redis, tokens, cluster }: Config, env: Environment): string[] {
  const { tls, password_file, sentinel } = redis;
  const settings = !env.REDIS_URL && redis_url.includes('@') ? env.CALLGATE_CONFIG : undefined;
  const files = [
    settings,
    tokens.signing_keys,
    tls.key,
    password_file,
    sentinel.password_file,
    cluster.secret_file,
    cluster.tls.key,
  ];
  return files.filter((path) => path !== undefined);
}

/**
 * The Redis that the processes share, for commands that need nothing else.
 * @throws {ConfigError} when none is set, or with every mistake that was found.
 */
export function loadRedis(env: Environment = process.env): RedisSettings & { redis_url: string } {
  const { redis_url, redis } = readConfig(env, false);
  const mistakes = redisContradictions({ redis_url, redis });
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  if (redis_url !== undefined) return { redis_url, redis };
  throw new ConfigError([
    `REDIS_URL must name the Redis that the processes share: ${REDIS_URL_FORMS}, or \`redis_url\` in the file of CALLGATE_CONFIG`,
  ]);
}

function readConfig(env: Environment, demo: boolean): Config {
  const { settings, mistakes } = fromFile(env.CALLGATE_CONFIG);
  if (demo) {
    set(settings, ['tenants'], DEMO_TENANTS);
    set(settings, ['http', 'host'], '127.0.0.1');
  }
  mistakes.push(...override(settings, env), ...unknownVariables(env, ['CALLGATE_CONFIG', ...Object.keys(VARIABLES)]));
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return Value.Parse(ConfigSchema, settings);
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The defaults, and what the file says instead. */
function fromFile(named: string | undefined): { settings: unknown; mistakes: string[] } {
  const defaults = Value.Default(ConfigSchema, {});
  if (!named) return { settings: defaults, mistakes: [] };
  const path = resolve(named);
  const unusable = fileMistake(path, READABLE);
  if (unusable !== undefined) return { settings: defaults, mistakes: [`CALLGATE_CONFIG ${unusable}`] };
  const file = readYamlFile(path);
  const settings: unknown = fitSchema(file, ConfigSchema);
  const issuers = listOf(Value.Pointer.Get(settings, '/issuers'));
  const jwksFiles = issuers.map((_, i) => ({ path: ['issuers', i, 'jwks_file'], ...READABLE }));
  for (const setting of [...Object.values(FILES), ...jwksFiles]) {
    const named = Value.Pointer.Get(settings, pointer(setting.path));
    if (typeof named !== 'string') continue;
    const absolute = resolve(dirname(path), named);
    const mistake = fileMistake(absolute, setting);
    if (mistake === undefined) set(settings, setting.path, absolute);
    else file.mistake(setting.path, mistake);
  }
  checkIssuers(file, issuers, Value.Pointer.Get(settings, '/tokens/issuer'));
  return { settings, mistakes: file.mistakes() };
}

/** Each issuer has one name that nobody else has, and one place for its keys. */
function checkIssuers(file: YamlFile, issuers: readonly Loose[], own: unknown): void {
  const names = new Set([own]);
  for (const [i, { iss, jwks_url, jwks_file }] of issuers.entries()) {
    if (names.has(iss))
      file.mistake(['issuers', i, 'iss'], 'is the name of another issuer, or our own (tokens.issuer)');
    names.add(iss);
    if ((jwks_url === undefined) === (jwks_file === undefined)) {
      file.mistake(['issuers', i], 'must have one of jwks_url and jwks_file');
    }
  }
}

/** Lays the variables over the settings; returns what is wrong with them, by name. */
function override(settings: unknown, env: Environment): string[] {
  const mistakes: string[] = [];
  for (const [name, setting] of Object.entries(VARIABLES)) {
    const value = env[name];
    if (!value) continue;
    const typed = name === 'PORT' && /^\d+$/.test(value) ? Number(value) : value;
    const isFile = 'mode' in setting;
    const { path, allowed } = setting;
    const mistake = isFile
      ? fileMistake(resolve(value), setting)
      : Value.Check(schemaOf(path), typed)
        ? undefined
        : `must be ${allowed}`;
    if (mistake === undefined) set(settings, path, isFile ? resolve(value) : typed);
    else mistakes.push(`${name} ${mistake}`);
  }
  return mistakes;
}

/** What is wrong although every setting by itself is right. */
function contradictions({ http, media, redis_url, redis, tenants, tokens, cluster }: Config, demo: boolean): string[] {
  const mistakes = [...redisContradictions({ redis_url, redis }), ...clusterContradictions(cluster)];
  if (demo && !isLoopback(http.host)) {
    mistakes.push(
      `HOST must be a loopback address in the demo, where anyone who reaches the page may mint; to listen on another, name your own tenants with CALLGATE_TENANTS`,
    );
  }
  if (tenants === undefined && redis_url === undefined) {
    mistakes.push(
      'CALLGATE_TENANTS must name the tenants file (or `tenants` in the file of CALLGATE_CONFIG), or REDIS_URL the Redis to which `callgate directory apply` publishes it',
    );
  }
  if (redis_url !== undefined && tokens.signing_keys === undefined) {
    mistakes.push(
      'CALLGATE_SIGNING_KEYS must name a JWK set file when a Redis is shared, or no other process could verify a token; `callgate keys signing` makes one',
    );
  }
  if (http.reuse_port && redis_url === undefined) {
    mistakes.push(
      'REDIS_URL must name the Redis that the processes on one port share (`http.reuse_port`), or no other process would know a token; a process that is alone needs no `http.reuse_port`',
    );
  }
  if (http.reuse_port && http.port === 0) {
    mistakes.push(
      'PORT must be a port of its own where processes share it (`http.reuse_port`): 0 gives each another one',
    );
  }
  if (http.reuse_port && http.host === 'localhost') {
    mistakes.push(
      'HOST must be an address where processes share a port (`http.reuse_port`): localhost may be two, of which a stop leaves one late',
    );
  }
  const { listen_addresses = [], announced_address } = media;
  const announces = (family: number) =>
    announced_address !== undefined && [0, family].includes(isIP(announced_address));
  const listening = listenMistake(listen_addresses, announces);
  if (listening !== undefined) mistakes.push(`media.listen_addresses: ${listening} (CALLGATE_ANNOUNCED_ADDRESS)`);
  return mistakes;
}

/** What leaves this machine is proved with a secret that no other user of the Redis has, and is not to be read on its way. */
function clusterContradictions({ listen, address, secret_file, tls, plain_text }: Config['cluster']): string[] {
  const mistakes: string[] = [];
  const { host } = splitHostPort(listen);
  const set = [tls.cert, tls.key, tls.ca].filter((path) => path !== undefined).length;
  if (set !== 0 && set !== 3) mistakes.push('cluster.tls.cert, cluster.tls.key and cluster.tls.ca belong together');
  if (isLoopback(host)) return mistakes;
  if (secret_file === undefined) {
    mistakes.push(
      'CALLGATE_CLUSTER_SECRET_FILE must name a file with a secret that all processes have, when CALLGATE_CLUSTER_LISTEN is not a loopback address; `openssl rand -base64 32` makes one',
    );
  }
  if (set === 0 && !plain_text) {
    mistakes.push(
      'cluster.tls must name a certificate, its key and its CA when links leave this machine (`cluster.plain_text: true` does without, in a network that nobody else reads)',
    );
  }
  if (['0.0.0.0', '::'].includes(host) && address === undefined) {
    mistakes.push(
      'CALLGATE_CLUSTER_ADDRESS must say under which host:port others reach this process, when CALLGATE_CLUSTER_LISTEN is a wildcard',
    );
  }
  return mistakes;
}

type RedisSettings = { redis_url?: string | undefined; redis: Config['redis'] };

function redisContradictions({ redis_url = '', redis: { tls, password_file, sentinel } }: RedisSettings): string[] {
  const mistakes: string[] = [];
  const isSet = (settings: object) => Object.values(settings).some((value) => value !== undefined);
  if (isSet(tls) && !redis_url.startsWith('rediss')) {
    mistakes.push('redis.tls needs a REDIS_URL of TLS: rediss://, rediss+sentinel:// or rediss+cluster://');
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    mistakes.push('redis.tls.cert and redis.tls.key belong together');
  }
  if (isSet(sentinel) && !/^rediss?\+sentinel:/.test(redis_url)) {
    mistakes.push('redis.sentinel needs a REDIS_URL of Sentinels: redis+sentinel:// or rediss+sentinel://');
  }
  if (password_file !== undefined && redis_url === '') {
    mistakes.push('redis.password_file needs a REDIS_URL');
  }
  return mistakes;
}

const pointer = (path: Path): string => path.map((part) => `/${part}`).join('');

/** Leaves a section alone that is not one; that mistake has been noted already. */
function set(settings: unknown, path: Path, value: unknown): void {
  const section = Value.Pointer.Get(settings, pointer(path.slice(0, -1)));
  if (typeof section === 'object' && section !== null) Object.assign(section, { [path.at(-1)!]: value });
}

function schemaOf(path: Path): TSchema {
  return Value.Pointer.Get(ConfigSchema, pointer(path.flatMap((part) => ['properties', part]))) as TSchema;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}

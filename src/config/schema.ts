import { type Static, Type } from 'typebox';
import { parseRedisUrl } from '../redis/url.ts';
import { isLoopback } from '../shared/loopback.ts';
import { isAnnounceable, isListenable } from './media-addresses.ts';
import { parsePortRange } from './port-range.ts';

const section = <P extends Type.TProperties>(properties: P) =>
  Type.Object(properties, { additionalProperties: false, default: {} });
const ms = (value: number, description: string, maximum = 86_400_000) =>
  Type.Integer({ minimum: 1, maximum, default: value, description });
const count = (value: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 1_000_000_000, default: value, description });
const optionalText = (description: string) => Type.Optional(Type.String({ minLength: 1, description }));
const text = (description: string, check: (value: string) => boolean, allowed: string, options = {}) =>
  Type.Refine(Type.String({ description, ...options }), check, () => `must be ${allowed}`);
const address = (description: string, options = {}) =>
  text(description, (value) => /^[0-9A-Za-z:._%-]{1,253}$/.test(value), 'an IP address or host name', options);

export const REDIS_URL_FORMS = 'a redis://, redis+sentinel:// or redis+cluster:// URL (with TLS: rediss)';
export const ANNOUNCED_ADDRESS = 'an IP address or host name that clients can reach';
export const NODE_NAME = '1 to 63 letters, digits, dots, underscores and hyphens';
export const HOST_PORT = 'host:port, such as 10.0.0.5:7000 or [fd00::5]:7000';
export const PORT_RANGE = 'one range min-max of ports from 1 to 65535, such as 40000-40099';

/** Whether a parser that throws on bad text takes this one. */
const takenBy =
  (parse: (value: string) => unknown) =>
  (value: string): boolean => {
    try {
      parse(value);
      return true;
    } catch {
      return false;
    }
  };

function isPublicUrl(value: string): boolean {
  const url = URL.parse(value);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return false;
  return !(url.username || url.password || url.search || url.hash);
}

const isJwksUrl = (value: string): boolean => {
  const url = URL.parse(value);
  if (url === null || url.username || url.password || url.hash) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
};

const isHostPort = (value: string): boolean => {
  const url = URL.parse(`tcp://${value}`);
  return url !== null && /:\d+$/.test(value) && url.hostname !== '' && url.pathname === '' && !/[@?#]/.test(value);
};

const isNodeName = (value: string): boolean => /^[A-Za-z0-9][\w.-]{0,62}$/.test(value);

const Issuer = Type.Object(
  {
    iss: Type.String({ minLength: 1, maxLength: 256, description: 'iss of its tokens, exactly.' }),
    jwks_url: Type.Optional(
      text(
        'Address of its JWK set.',
        isJwksUrl,
        'an https:// URL without user and fragment (http:// on loopback only)',
      ),
    ),
    jwks_file: optionalText('Path of its JWK set, in place of an address.'),
    teams: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      minItems: 1,
      maxItems: 10_000,
      uniqueItems: true,
      description: 'Teams that it may speak for.',
    }),
  },
  { additionalProperties: false },
);

/** Every setting with its default and meaning. `config/callgate.yaml` explains the same keys to people. */
export const ConfigSchema = section({
  log_level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], {
    default: 'info',
    description: 'LOG_LEVEL',
  }),
  tenants: optionalText('Path of the tenants file (CALLGATE_TENANTS).'),
  redis_url: Type.Optional(
    text('Of one Redis, Sentinels or a Cluster (REDIS_URL).', takenBy(parseRedisUrl), REDIS_URL_FORMS),
  ),
  redis: section({
    password_file: optionalText('Path of the password for redis_url, in place of one in the URL.'),
    sentinel: section({
      username: optionalText('User at the Sentinels.'),
      password_file: optionalText('Path of the password for the Sentinels.'),
    }),
    tls: section({
      ca: optionalText("Path of the certificates that sign the store's, in place of the system's."),
      cert: optionalText('Path of the certificate that is shown to the store.'),
      key: optionalText('Path of its key.'),
    }),
  }),
  trace: optionalText('Path of a file to which a line is appended for each session that ended.'),
  roles: Type.Array(Type.Enum(['gateway', 'media']), {
    minItems: 2,
    uniqueItems: true,
    default: ['gateway', 'media'],
    description: 'What this process does; for now every process does both.',
  }),
  node: section({
    name: Type.Optional(
      text(
        'What this process is called among others (CALLGATE_NODE_NAME); the host name by default.',
        isNodeName,
        NODE_NAME,
      ),
    ),
    region: Type.Optional(text('Where it is (CALLGATE_REGION).', isNodeName, NODE_NAME)),
  }),
  cluster: section({
    listen: text(
      'Where other processes link to this one, host:port (CALLGATE_CLUSTER_LISTEN).',
      isHostPort,
      HOST_PORT,
      { default: '127.0.0.1:0' },
    ),
    address: Type.Optional(
      text(
        'host:port under which they reach it, where that is another (CALLGATE_CLUSTER_ADDRESS).',
        isHostPort,
        HOST_PORT,
      ),
    ),
    secret_file: optionalText(
      'Path of the secret that all processes prove to each other (CALLGATE_CLUSTER_SECRET_FILE).',
    ),
    tls: section({
      cert: optionalText('Path of the certificate that this process shows on links.'),
      key: optionalText('Path of its key.'),
      ca: optionalText("Path of the certificates that sign the others'."),
    }),
    plain_text: Type.Boolean({ default: false, description: 'Let links leave this machine without TLS.' }),
  }),
  http: section({
    host: address('Address of the API and the WebSocket (HOST); 127.0.0.1 in the demo.', { default: '0.0.0.0' }),
    port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8080, description: 'PORT; 0 takes any free one.' }),
    reuse_port: Type.Boolean({ default: false, description: 'Share the port with other processes of this machine.' }),
    public_url: Type.Optional(
      text(
        'URL under which clients reach this server; ws_url is made from it.',
        isPublicUrl,
        'an http:// or https:// URL without user, query and fragment',
      ),
    ),
    trusted_proxies: Type.Integer({
      minimum: 0,
      maximum: 10,
      default: 0,
      description: 'Proxies in front whose X-Forwarded-For is believed.',
    }),
    metrics_host: address('Address of /metrics.', { default: '127.0.0.1' }),
    metrics_port: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 65_535, description: 'Port of /metrics; PORT+1, or else any free one.' }),
    ),
  }),
  tokens: section({
    issuer: Type.String({ minLength: 1, default: 'callgate', description: 'iss of the tokens.' }),
    signing_keys: optionalText('Path of a JWK set: the first key signs, all verify (CALLGATE_SIGNING_KEYS).'),
    leeway_seconds: Type.Integer({ minimum: 0, maximum: 60, default: 5, description: 'Leeway on exp and iat.' }),
    default_ttl_seconds: Type.Integer({
      minimum: 5,
      maximum: 600,
      default: 60,
      description: 'ttl_seconds when the mint names none.',
    }),
  }),
  issuers: Type.Array(Issuer, {
    maxItems: 32,
    default: [],
    description: 'Platforms whose call tokens are taken beside our own.',
  }),
  admission: section({
    headers_timeout_ms: ms(5000, 'Request headers must have arrived by then.'),
    start_timeout_ms: ms(5000, 'A start must have arrived by then; nothing extends it.'),
    max_unstarted_sockets: count(
      1000,
      'Sockets that have shown no token, all addresses together, and as many early starts that are looked at.',
    ),
    sockets_per_address: count(120, 'Open connections per address (IPv6: per /64); behind proxies WebSockets.'),
    failed_presentations_per_minute: count(30, 'Failed presentations, and refused HTTP requests, per minute.'),
    limit_loopback: Type.Boolean({ default: false, description: 'Apply the limits per address to loopback as well.' }),
    messages_per_second: count(20, 'Messages and control frames per socket and second; candidates do not count.'),
    ping_interval_ms: ms(15_000, 'A socket that has not answered the last ping by the next is lost.'),
    max_buffered_bytes: count(1_048_576, 'A socket with more than this unsent is lost.'),
  }),
  audit: section({
    stream_max_length: count(100_000, 'Events that the Redis Stream callgate:audit keeps, about.'),
  }),
  session: section({
    answer_timeout_ms: ms(10_000, 'The first offer must be answered by then.'),
    connect_timeout_ms: ms(25_000, 'From the burn to live; nothing extends it.'),
    reoffer_timeout_ms: ms(10_000, 'A later offer must be answered by then.'),
    grace_ms: ms(30_000, 'How long a client that lost its socket may stay away; media goes on.'),
    unreachable_timeout_ms: ms(30_000, 'ICE may be disconnected this long.'),
    lease_renew_ms: ms(10_000, 'How often the 30 s leases are renewed.', 15_000),
    finish_wait_ms: ms(1000, 'How long the last frame waits for the stored end.'),
  }),
  applications: section({
    plain_text: Type.Boolean({
      default: false,
      description: 'Applications on other machines may be reached by ws:// as well.',
    }),
  }),
  media: section({
    workers: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 256, description: 'mediasoup workers; one per core by default.' }),
    ),
    worker_bin: optionalText('Path of the mediasoup worker (MEDIASOUP_WORKER_BIN).'),
    listen_addresses: Type.Optional(
      Type.Array(text('A local address.', isListenable, 'a local IP address that clients can reach'), {
        minItems: 1,
        maxItems: 8,
        description: 'Local addresses for media; loopback and the LAN addresses by default.',
      }),
    ),
    announced_address: Type.Optional(
      text(
        'Address that clients are told instead of the local one (CALLGATE_ANNOUNCED_ADDRESS).',
        isAnnounceable,
        ANNOUNCED_ADDRESS,
      ),
    ),
    rtc_ports: Type.Optional(
      text('min-max (CALLGATE_RTC_PORTS); the system picks by default.', takenBy(parsePortRange), PORT_RANGE),
    ),
    max_calls_per_worker: count(2000, 'Calls that one worker takes.'),
    start_bitrate_kbps: count(1000, 'x-google-start-bitrate that senders are asked for.'),
    max_room_participants: Type.Integer({
      minimum: 2,
      maximum: 100,
      default: 50,
      description: 'Participants of one room.',
    }),
  }),
});

export type Config = Static<typeof ConfigSchema>;

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/config.ts';
import { ConfigSchema } from '../../src/config/schema.ts';
import { ConfigError } from '../../src/config/yaml-file.ts';

const TENANTS = 'config/tenants.yaml';
const SAMPLE = 'config/callgate.yaml';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'callgate-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

/** What loading says is wrong, without the file's name. */
const mistakes = (env: Record<string, string>): string[] => {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).mistakes.map((mistake) => mistake.replace(/^\S*?([^/\s]+\.yaml)/, '$1'));
  }
  return [];
};
const mistakesOf = (yaml: string): string[] =>
  mistakes({ CALLGATE_CONFIG: file('c.yaml', yaml), CALLGATE_TENANTS: TENANTS });

describe('the environment', () => {
  it('starts the demo when it names no config, no tenants and no Redis', () => {
    const { config, demo } = loadConfig({ PORT: '0', LOG_LEVEL: 'debug' });
    expect(demo).toBe(true);
    expect(config).toMatchObject({ log_level: 'debug', http: { host: '127.0.0.1', port: 0 } });
    expect(config.tenants).toMatch(/config\/tenants\.yaml$/);
  });

  it.each(['127.0.0.1', '127.1.2.3', '::1', 'localhost'])('lets the demo listen on %s', (HOST) => {
    expect(loadConfig({ HOST }).config.http.host).toBe(HOST);
  });

  it.each(['0.0.0.0', '::', '192.0.2.1', 'example.com', '127.example.com'])('keeps the demo off %s', (HOST) => {
    expect(mistakes({ HOST })).toEqual([expect.stringMatching(/^HOST must be a loopback address in the demo/)]);
  });

  it('overrides the file', () => {
    const worker = file('worker', '');
    chmodSync(worker, 0o755);
    const { config, demo } = loadConfig({
      CALLGATE_CONFIG: file('o.yaml', 'log_level: warn\nhttp: { port: 1, trusted_proxies: 2 }\n'),
      CALLGATE_TENANTS: TENANTS,
      CALLGATE_SIGNING_KEYS: file('keys.json', '{}'),
      REDIS_URL: 'redis://127.0.0.1:6379',
      PORT: '2',
      HOST: '::',
      CALLGATE_ANNOUNCED_ADDRESS: '203.0.113.1',
      CALLGATE_RTC_PORTS: '40000-40000',
      MEDIASOUP_WORKER_BIN: worker,
    });
    expect(demo).toBe(false);
    expect(config).toMatchObject({
      log_level: 'warn',
      redis_url: 'redis://127.0.0.1:6379',
      http: { port: 2, host: '::', trusted_proxies: 2 },
      tokens: { signing_keys: join(folder, 'keys.json') },
      media: { announced_address: '203.0.113.1', rtc_ports: '40000-40000', worker_bin: worker },
    });
  });

  it('counts an empty variable as unset and ignores all others', () => {
    const { config, demo } = loadConfig({ PORT: '', REDIS_URL: '', CALLGATE_TENANTS: '', CALLGATE_ANY: '', ANY: 'x' });
    expect(demo).toBe(true);
    expect(config.http.port).toBe(8080);
  });

  it.each([
    ['CALLGATE_LOG_LEVEL', '; is it LOG_LEVEL?'],
    ['CALLGATE_TENANT', '; is it CALLGATE_TENANTS?'],
    ['CALLGATE_ANOUNCED_ADRESS', '; is it CALLGATE_ANNOUNCED_ADDRESS?'],
    ['CALLGATE_RTC_PORT', '; is it CALLGATE_RTC_PORTS?'],
    ['CALLGATE_SIGNING_KEY', '; is it CALLGATE_SIGNING_KEYS?'],
    ['CALLGATE_REDIS_URL', '; is it REDIS_URL?'],
    ['CALLGATE_FAVOURITE_COLOUR', ''],
    ['CALLGATE_', ''],
  ])('does not know %s, and says what it may have been meant for', (name, hint) => {
    expect(mistakes({ CALLGATE_TENANTS: TENANTS, [name]: 'secret' })).toEqual([
      `${name} is not a known variable${hint}`,
    ]);
  });

  it('leaves the key of a backend alone, and what Kubernetes sets for Services named callgate and callgate-…', () => {
    const ofService = (name: string) => ({
      [`${name}_SERVICE_HOST`]: '10.0.0.1',
      [`${name}_SERVICE_PORT`]: '8080',
      [`${name}_SERVICE_PORT_HTTP`]: '8080',
      [`${name}_PORT`]: 'tcp://10.0.0.1:8080',
      [`${name}_PORT_8080_TCP`]: 'tcp://10.0.0.1:8080',
      [`${name}_PORT_8080_TCP_PROTO`]: 'tcp',
      [`${name}_PORT_8080_TCP_PORT`]: '8080',
      [`${name}_PORT_8080_TCP_ADDR`]: '10.0.0.1',
    });
    const services = ['CALLGATE', 'CALLGATE_METRICS', 'CALLGATE_RTC'].map(ofService);
    const env = Object.assign({ CALLGATE_TENANTS: TENANTS, CALLGATE_API_KEY: 'cgk_a_b' }, ...services);
    expect(mistakes(env)).toEqual([]);
  });

  it.each([
    ['PORT', '65536', 'a whole number from 0 to 65535'],
    ['PORT', '80.5', 'a whole number from 0 to 65535'],
    ['PORT', '0x50', 'a whole number from 0 to 65535'],
    ['PORT', '-1', 'a whole number from 0 to 65535'],
    ['HOST', 'http://localhost', 'an IP address or host name'],
    ['REDIS_URL', 'localhost:6379', 'a redis://'],
    ['CALLGATE_ANNOUNCED_ADDRESS', 'a b', 'an IP address or host name'],
    ['CALLGATE_ANNOUNCED_ADDRESS', '0.0.0.0', 'an IP address or host name that clients can reach'],
    ['CALLGATE_ANNOUNCED_ADDRESS', 'fe80::1', 'an IP address or host name that clients can reach'],
    ['CALLGATE_ANNOUNCED_ADDRESS', '300.1.1.1', 'an IP address or host name that clients can reach'],
    ['CALLGATE_RTC_PORTS', '2-1', 'one range min-max'],
    ['CALLGATE_RTC_PORTS', '0-1', 'one range min-max'],
    ['CALLGATE_RTC_PORTS', '1-65536', 'one range min-max'],
    ['CALLGATE_RTC_PORTS', '1-2,4-5', 'one range min-max'],
    ['LOG_LEVEL', 'loud', 'one of trace, debug, info, warn, error, fatal'],
  ])('says what %s may be instead of %s, and does not repeat it', (name, value, allowed) => {
    const [mistake, ...others] = mistakes({ CALLGATE_TENANTS: TENANTS, [name]: value });
    expect(mistake).toContain(`${name} must be ${allowed}`);
    expect(mistake).not.toContain(value);
    expect(others).toEqual([]);
  });

  it.each([
    ['CALLGATE_TENANTS', '/nonexistent/t.yaml', 'the path of a readable file: /nonexistent/t.yaml is not there'],
    ['CALLGATE_CONFIG', '/nonexistent/c.yaml', 'the path of a readable file: /nonexistent/c.yaml is not there'],
    ['CALLGATE_SIGNING_KEYS', '/nonexistent/k.json', 'the path of a readable file: /nonexistent/k.json is not there'],
    ['CALLGATE_TENANTS', '/etc', 'the path of a readable file: /etc is a folder'],
    ['CALLGATE_TENANTS', '/etc/hostname/t.yaml', 'the path of a readable file: /etc/hostname/t.yaml is not there'],
    ['MEDIASOUP_WORKER_BIN', 'config/tenants.yaml', 'the path of an executable file: '],
  ])('names the file of %s that cannot be used (%s), and says why', (name, value, said) => {
    const [mistake, ...others] = mistakes({ CALLGATE_TENANTS: TENANTS, [name]: value });
    expect(mistake).toContain(`${name} must be ${said}`);
    expect(mistake).toContain(`${value} is `);
    expect(others).toEqual([]);
  });

  it('does not repeat a secret that stands where its file should be named', () => {
    const keys = '{"keys":[{"kty":"OKP","d":"hunter2"}]}';
    expect(mistakes({ CALLGATE_TENANTS: TENANTS, CALLGATE_SIGNING_KEYS: keys })).toEqual([
      'CALLGATE_SIGNING_KEYS must be the path of a readable file',
    ]);
    expect(mistakesOf('redis: { password_file: hunter2 }')[0]).toMatch(/password_file: must be .* a readable file$/);
  });

  it('wants tenants or a Redis outside the demo, and signing keys beside a Redis', () => {
    expect(mistakes({ CALLGATE_CONFIG: file('empty.yaml', '') })).toEqual([
      expect.stringMatching(/^CALLGATE_TENANTS must name .*`callgate directory apply`/),
    ]);
    expect(mistakes({ REDIS_URL: 'redis://127.0.0.1' })).toEqual([
      expect.stringMatching(/^CALLGATE_SIGNING_KEYS .*`callgate keys signing`/),
    ]);
    expect(mistakes({ CALLGATE_TENANTS: TENANTS })).toEqual([]);
  });

  it('wants a Redis where processes share a port', () => {
    expect(mistakesOf('http: { reuse_port: true }')).toEqual([
      expect.stringMatching(/^REDIS_URL must name the Redis .*`http\.reuse_port`/),
    ]);
    const keys = file('shared.json', '{}');
    expect(
      mistakesOf(`redis_url: redis://127.0.0.1\nhttp: { reuse_port: true }\ntokens: { signing_keys: ${keys} }`),
    ).toEqual([]);
    expect(
      mistakesOf(
        `redis_url: redis://127.0.0.1\nhttp: { reuse_port: true, port: 0 }\ntokens: { signing_keys: ${keys} }`,
      ),
    ).toEqual([expect.stringMatching(/^PORT must be .*`http\.reuse_port`/)]);
    expect(
      mistakesOf(
        `redis_url: redis://127.0.0.1\nhttp: { reuse_port: true, host: localhost }\ntokens: { signing_keys: ${keys} }`,
      ),
    ).toEqual([expect.stringMatching(/^HOST must be .*`http\.reuse_port`/)]);
  });

  it('lets links leave the machine only with a secret of the processes, and not to be read on their way', () => {
    const secret = file('cluster-secret', 'x');
    expect(mistakesOf('cluster: { listen: "127.0.0.1:7000" }')).toEqual([]);
    expect(mistakesOf('cluster: { listen: "10.0.0.5:7000" }')).toEqual([
      expect.stringMatching(/^CALLGATE_CLUSTER_SECRET_FILE must name a file/),
      expect.stringMatching(/^cluster\.tls must name a certificate/),
    ]);
    const open = `secret_file: ${secret}, plain_text: true`;
    expect(mistakesOf(`cluster: { listen: "10.0.0.5:7000", ${open} }`)).toEqual([]);
    expect(mistakesOf(`cluster: { listen: "0.0.0.0:7000", ${open} }`)).toEqual([
      expect.stringMatching(/^CALLGATE_CLUSTER_ADDRESS must say/),
    ]);
    expect(mistakesOf(`cluster: { listen: "[::]:7000", address: "a.example:7000", ${open} }`)).toEqual([]);
    expect(mistakesOf(`cluster: { tls: { cert: ${secret} } }`)).toEqual([expect.stringMatching(/belong together$/)]);
    for (const listen of ['7000', ':7000', '10.0.0.5', '10.0.0.5:70000', 'a b:1', 'x/y:1']) {
      expect(mistakesOf(`cluster: { listen: "${listen}" }`)).toEqual([expect.stringContaining('must be host:port')]);
    }
  });

  it.each([
    ['{ listen_addresses: [fe80::1] }', 'media.listen_addresses[0]: must be a local IP address that clients can reach'],
    ['{ listen_addresses: [10.0.0.5, localhost] }', 'media.listen_addresses[1]: must be a local IP address'],
    ['{ listen_addresses: [0.0.0.0] }', 'media.listen_addresses: 0.0.0.0 needs an announced address of its family'],
    ['{ listen_addresses: ["::"], announced_address: 203.0.113.7 }', 'media.listen_addresses: :: needs an announced'],
    ['{ listen_addresses: [0.0.0.0, 10.0.0.5], announced_address: 203.0.113.7 }', '0.0.0.0 already covers the others'],
    ['{ announced_address: 224.0.0.1 }', 'media.announced_address: must be an IP address or host name that clients'],
  ])('refuses media addresses of which clients would have nothing: %s', (media, mistake) => {
    expect(mistakesOf(`media: ${media}`)).toEqual([expect.stringContaining(mistake)]);
  });

  it('lets media listen everywhere under an announced address or name', () => {
    expect(mistakesOf('media: { listen_addresses: [0.0.0.0], announced_address: 203.0.113.7 }')).toEqual([]);
    expect(mistakesOf('media: { listen_addresses: [0.0.0.0, "::"], announced_address: media.example.com }')).toEqual(
      [],
    );
  });

  it('tells all mistakes of the file and the variables together', () => {
    const found = mistakes({ CALLGATE_CONFIG: file('both.yaml', 'log_level: loud\nhttp: 5\n'), PORT: 'x', HOST: ' ' });
    expect(found).toHaveLength(4);
  });
});

it('starts from the same defaults every time', () => {
  loadConfig({ PORT: '1', LOG_LEVEL: 'warn' });
  expect(loadConfig({}).config).toMatchObject({ log_level: 'info', http: { port: 8080 } });
});

describe('the file', () => {
  it('shares nothing that a reader could change', () => {
    const { config } = loadConfig({});
    expect(() => config.roles.push('media')).toThrow(TypeError);
    expect(() => Object.assign(config.http, { port: 1 })).toThrow(TypeError);
  });

  it('resolves its paths against its own folder', () => {
    const { config } = loadConfig({ CALLGATE_CONFIG: SAMPLE });
    expect(config.tenants).toBe(join(process.cwd(), TENANTS));
  });

  it.each([
    ['an unknown key', 'htpp: {}', 'c.yaml:1:1: htpp: unknown key'],
    ['an unknown key below', 'http:\n  prt: 1', 'c.yaml:2:3: http.prt: unknown key'],
    ['a key of Object', '__proto__: {}', 'c.yaml:1:1: __proto__: unknown key'],
    ['a wrong type', 'http:\n  port: "80"', 'c.yaml:2:9: http.port: must be integer'],
    ['a value out of range', 'media: { workers: 0 }', 'c.yaml:1:19: media.workers: must be >= 1'],
    ['a value that is not offered', 'roles: [gateway, x]', 'c.yaml:1:18: roles[1]: must be one of gateway, media'],
    ['a section that is none', 'http: 5', 'c.yaml:1:7: http: must be object'],
    ['a duplicate key', 'log_level: info\nlog_level: warn', 'c.yaml:2:1: is there twice'],
    ['a list', '- 1', 'c.yaml:1:1: must be object'],
    [
      'a range backwards',
      'media:\n  rtc_ports: 2-1',
      'c.yaml:2:14: media.rtc_ports: must be one range min-max of ports',
    ],
    [
      'an issuer without keys',
      'issuers: [{ iss: a, teams: [t] }]',
      'c.yaml:1:11: issuers[0]: must have one of jwks_url',
    ],
    [
      'an issuer with two places for its keys',
      'issuers:\n  - { iss: a, teams: [t], jwks_url: "https://a", jwks_file: c.yaml }',
      'c.yaml:2:5: issuers[0]: must have one of jwks_url',
    ],
    [
      'keys over plain HTTP',
      'issuers: [{ iss: a, teams: [t], jwks_url: "http://a.example" }]',
      'c.yaml:1:43: issuers[0].jwks_url: must be an https:// URL',
    ],
    [
      'an issuer of our own name',
      'issuers: [{ iss: callgate, teams: [t], jwks_url: "https://a" }]',
      'c.yaml:1:18: issuers[0].iss: is the name of another issuer',
    ],
    [
      'two issuers of one name',
      'issuers: [{ iss: a, teams: [t], jwks_url: "https://a" }, { iss: a, teams: [u], jwks_url: "https://b" }]',
      'c.yaml:1:65: issuers[1].iss: is the name of another issuer',
    ],
    [
      'an issuer that speaks for nobody',
      'issuers: [{ iss: a, teams: [], jwks_url: "https://a" }]',
      'c.yaml:1:28: issuers[0].teams: must not have fewer than 1 items',
    ],
    [
      'a key file that is not there',
      'issuers: [{ iss: a, teams: [t], jwks_file: no.json }]',
      'c.yaml:1:44: issuers[0].jwks_file: must be the path of a readable file',
    ],
    ['issuers that are none', 'issuers: [null, 5]', 'c.yaml:1:11: issuers[0]: '],
    ['a bad URL', 'http:\n  public_url: ftp://x', 'c.yaml:2:15: http.public_url: must be an http:// or https:// URL'],
    ['a file that is not there', 'tenants: no.yaml', 'c.yaml:1:10: tenants: must be the path of a readable file'],
    ['an unfinished flow', 'roles: [', 'c.yaml:1:9: Flow sequence in block collection must be sufficiently indented'],
    ['a tag', 'log_level: !secret x', 'c.yaml:1:12: Unresolved tag: !secret'],
    ['two documents', 'log_level: info\n---\n{}', 'c.yaml:2:1: a second document begins here'],
    ['an alias without anchor', 'roles: *x', 'c.yaml:1:8: is an alias of no anchor before it'],
    [
      'an alias bomb',
      `a: &a [1,1,1,1,1,1]\nb: &b [${'*a,'.repeat(100)}]\nc: &c [${'*b,'.repeat(1000)}]\nroles: *c`,
      'c.yaml:3:',
    ],
    ['a deep nest', '['.repeat(5000), 'c.yaml:1:'],
  ])('tells %s with its place', (_, yaml, expected) => {
    expect(mistakesOf(yaml).some((mistake) => mistake.startsWith(expected))).toBe(true);
  });

  it('tells every mistake, in the order of the file', () => {
    const found = mistakesOf(
      'log_level: x\nhttp:\n  port: -1\n  a: 1\n  b: 2\n  c: 3\nsession: 1\nmedia: 2\ntokens: 3\nz: 1',
    );
    expect(found.map((mistake) => Number(mistake.split(':')[1]))).toEqual([1, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('may be empty, hold comments only, or have sections whose keys are all comments', () => {
    for (const yaml of ['', '# nothing\n', 'http:\n  #port: 1\nmedia:\n']) expect(mistakesOf(yaml)).toEqual([]);
  });

  it('is not read when it is too large or not UTF-8', () => {
    expect(mistakesOf(`# ${'x'.repeat(5_000_000)}`)).toEqual(['c.yaml: is larger than 4194304 bytes']);
    expect(mistakes({ CALLGATE_CONFIG: file('latin.yaml', Buffer.from([0x61, 0xff])) })).toEqual([
      'latin.yaml: is not UTF-8; save it as UTF-8',
    ]);
  });
});

describe('the sample file', () => {
  const text = readFileSync(SAMPLE, 'utf8');

  it('loads as it is and changes nothing but the tenants', () => {
    const { tenants, ...config } = loadConfig({ CALLGATE_CONFIG: SAMPLE }).config;
    expect(tenants).toBeDefined();
    expect(config).toEqual(Value.Default(ConfigSchema, {}));
  });

  it('shows every key, and with the default if it has one', () => {
    const shown: unknown = parse(text.replaceAll(/^( *)#([a-z_]+:)/gm, '$1$2'));
    expect(Value.Errors(ConfigSchema, shown)).toEqual([]);
    const defaults = Value.Default(ConfigSchema, {});
    for (const path of keyPaths(ConfigSchema.properties)) {
      expect(Value.Pointer.Has(shown, path), path).toBe(true);
      if (Value.Pointer.Has(defaults, path)) {
        expect(Value.Pointer.Get(shown, path), path).toEqual(Value.Pointer.Get(defaults, path));
      }
    }
  });
});

function keyPaths(properties: object, prefix = ''): string[] {
  return Object.entries(properties).flatMap(([key, schema]: [string, { properties?: object }]) =>
    schema.properties ? keyPaths(schema.properties, `${prefix}/${key}`) : [`${prefix}/${key}`],
  );
}

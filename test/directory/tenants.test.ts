import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/yaml-file.ts';
import type { Directory } from '../../src/directory/directory.ts';
import { loadTenants, withApiKey } from '../../src/directory/tenants.ts';

const SHA256 = 'ab'.repeat(32);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'callgate-tenants-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const load = (yaml: string): Directory => {
  const path = join(folder, 't.yaml');
  writeFileSync(path, yaml);
  return loadTenants(path);
};

const mistakesOf = (yaml: string): string[] => {
  try {
    load(yaml);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).mistakes.map((mistake) => mistake.replace(/^\S*t\.yaml:/, ''));
  }
  return [];
};

/** One endpoint on line 4, which begins with its id and the flow. */
const endpoint = (rest: string): string =>
  `teams:
  - id: t
    flows: [{ id: f, state: live }]
    endpoints: [{ id: ep_a, flow: f, ${rest} }]`;

describe('the tenants file', () => {
  it('is read as the design shows it', () => {
    const directory = load(`
teams:
  - id: team_demo
    features: { webrtc: true }
    mint_rate: { limit: 10, window_seconds: 30 }
    api_keys:
      - { id: demo, sha256: ${SHA256.toUpperCase()}, scopes: [CREATE_CALL_TOKEN, READ_CALL_TOKEN] }
    flows:
      - { id: flow_demo, state: paused, end_sessions: true }
    endpoints:
      - id: ep_echo
        flow: flow_demo
        webrtc: true
        state: disabled
        target: { kind: echo }
        media: { audio: true, video: true, simulcast: true, video_codec: H264 }
        max_sessions: 7
        max_duration_seconds: 60
        allowed_origins: ["*"]
`);
    expect(directory.team('team_demo')).toEqual({
      id: 'team_demo',
      webrtc: true,
      mintRate: { limit: 10, windowSeconds: 30 },
    });
    expect(directory.apiKey('demo')).toEqual({
      id: 'demo',
      team: 'team_demo',
      sha256: Buffer.from(SHA256, 'hex'),
      scopes: new Set(['CREATE_CALL_TOKEN', 'READ_CALL_TOKEN']),
    });
    expect(directory.flow('team_demo', 'flow_demo')).toEqual({ state: 'paused', endSessions: true });
    expect(directory.endpoints).toEqual([
      {
        id: 'ep_echo',
        team: 'team_demo',
        flow: 'flow_demo',
        webrtc: true,
        enabled: false,
        target: { kind: 'echo' },
        media: { audio: true, video: true, simulcast: true, videoCodec: 'H264' },
        maxSessions: 7,
        maxDurationSeconds: 60,
        allowedOrigins: ['*'],
      },
    ]);
    expect(directory.endpoint('ep_echo')).toBe(directory.endpoints[0]);
  });

  it('leaves off what it does not switch on, and gives the rest sensible defaults', () => {
    const directory = load(endpoint('target: { kind: room }'));
    expect(directory.team('t')).toEqual({ id: 't', webrtc: false, mintRate: { limit: 100, windowSeconds: 60 } });
    expect(directory.endpoint('ep_a')).toEqual({
      id: 'ep_a',
      team: 't',
      flow: 'f',
      webrtc: false,
      enabled: true,
      target: { kind: 'room' },
      media: { audio: true, video: true, simulcast: true },
      maxSessions: 100,
      maxDurationSeconds: 3600,
      allowedOrigins: ['*'],
    });
  });

  it.each([
    ['room', '{}', true],
    ['room', '{ video_codec: H264 }', true],
    ['room', '{ video_codec: VP9 }', false],
    ['room', '{ video: false }', false],
    ['room', '{ simulcast: false }', false],
    ['echo', '{}', false],
    ['echo', '{ simulcast: true }', true],
  ])('offers simulcast to %s with media %s: %s', (kind, media, simulcast) => {
    const directory = load(endpoint(`target: { kind: ${kind} }, media: ${media}`));
    expect(directory.endpoint('ep_a')?.media.simulcast).toBe(simulcast);
  });

  it('gives an application ten seconds to answer and fifteen to come back, and sound alone', () => {
    const target = 'kind: stream, url: "wss://agent.example.com/calls?key=1", format: media-streams';
    expect(load(endpoint(`target: { ${target} }`)).endpoint('ep_a')).toMatchObject({
      target: {
        kind: 'stream',
        url: 'wss://agent.example.com/calls?key=1',
        format: 'media-streams',
        connectSeconds: 10,
        reconnectSeconds: 15,
      },
      media: { audio: true, video: false },
    });
  });

  it('writes origins as browsers do', () => {
    const origins =
      '["HTTPS://Example.COM:443", "http://localhost:5173", "capacitor://Localhost", "https://bücher.example"]';
    expect(
      load(endpoint(`target: { kind: echo }, allowed_origins: ${origins}`)).endpoint('ep_a')?.allowedOrigins,
    ).toEqual([
      'https://example.com',
      'http://localhost:5173',
      'capacitor://localhost',
      'https://xn--bcher-kva.example',
    ]);
  });

  it.each([
    [
      'an unknown key',
      endpoint('target: { kind: echo }, webrt: 1'),
      'webrt: 1',
      'teams[0].endpoints[0].webrt: unknown key',
    ],
    ['a missing key', endpoint(''), '{ id: ep_a', 'teams[0].endpoints[0].target: is missing'],
    ['no teams', 'teams: []', '[', 'teams: must not have fewer than 1 items'],
    ['an empty file', '', '', 'teams: is missing'],
    [
      'a bad endpoint id',
      endpoint('target: { kind: echo }').replace('ep_a', 'E'),
      'E',
      'teams[0].endpoints[0].id: must be ep_ and',
    ],
    [
      'a bad key id',
      `teams: [{ id: t, api_keys: [{ id: A_b, sha256: ${SHA256}, scopes: [] }] }]`,
      'A_b',
      'teams[0].api_keys[0].id: must be 1 to 64 of a-z',
    ],
    [
      'a bad hash',
      'teams: [{ id: t, api_keys: [{ id: a, sha256: xyz, scopes: [] }] }]',
      'xyz',
      'teams[0].api_keys[0].sha256: must be the 64 hexadecimal digits',
    ],
    [
      'an unknown scope',
      `teams: [{ id: t, api_keys: [{ id: a, sha256: ${SHA256}, scopes: [X] }] }]`,
      'X',
      'teams[0].api_keys[0].scopes[0]: must be one of CREATE_CALL_TOKEN, READ_CALL_TOKEN',
    ],
    [
      'a limit too high',
      endpoint('target: { kind: echo }, max_duration_seconds: 86401'),
      '86401',
      'teams[0].endpoints[0].max_duration_seconds: must be <= 86400',
    ],
    [
      'a stream target without an address',
      endpoint('target: { kind: stream, format: media-streams }'),
      '{ kind: stream',
      'teams[0].endpoints[0].target: must have a url',
    ],
    [
      'an address that is no WebSocket',
      endpoint('target: { kind: stream, url: "https://agent.example", format: media-streams }'),
      '"https',
      'teams[0].endpoints[0].target.url: must be a wss:// URL',
    ],
    [
      'what belongs to a stream target elsewhere',
      endpoint('target: { kind: echo, connect_seconds: 5 }'),
      'connect_seconds',
      'teams[0].endpoints[0].target.connect_seconds: belongs to a stream target',
    ],
    [
      'video for an application that takes sound',
      endpoint('target: { kind: stream, url: "wss://a.example", format: media-streams }, media: { video: true }'),
      'true }',
      'teams[0].endpoints[0].media.video: cannot be: a stream target takes sound alone',
    ],
    [
      'the rtp target',
      endpoint('target: { kind: rtp }'),
      'rtp',
      'teams[0].endpoints[0].target.kind: rtp cannot be used until that target exists',
    ],
    [
      'no media',
      endpoint('target: { kind: echo }, media: { audio: false, video: false }'),
      '{ audio',
      'teams[0].endpoints[0].media: must have audio or video',
    ],
    [
      'simulcast of VP9',
      endpoint('target: { kind: room }, media: { simulcast: true, video_codec: VP9 }'),
      'true',
      'teams[0].endpoints[0].media.simulcast: works with video, and with VP8 and H264 only',
    ],
    [
      'simulcast without video',
      endpoint('target: { kind: room }, media: { simulcast: true, video: false }'),
      'true',
      'teams[0].endpoints[0].media.simulcast: works with video',
    ],
    [
      "another team's flow",
      'teams:\n  - { id: a, flows: [{ id: f, state: live }] }\n  - { id: b, endpoints: [{ id: ep_x, flow: "f", target: { kind: echo } }] }',
      '"f"',
      'teams[1].endpoints[0].flow: is not a flow of this team',
    ],
  ])('tells %s with its place', (_, yaml, culprit, message) => {
    const before = yaml.slice(0, yaml.indexOf(culprit)).split('\n');
    const place = `${before.length}:${(before.at(-1) ?? '').length + 1}: ${message}`;
    expect(mistakesOf(yaml).map((mistake) => mistake.slice(0, place.length))).toEqual([place]);
  });

  it.each([
    'https://a.example/',
    'https://a.example/path',
    'https://user@a.example',
    'a.example',
    'null',
    'https://',
    'https://*.a',
  ])('does not take %s for an origin', (origin) => {
    const found = mistakesOf(endpoint(`target: { kind: echo }, allowed_origins: ["*", "${origin}"]`));
    expect(found).toEqual([expect.stringMatching(/allowed_origins\[1\]: must be "\*" or scheme:\/\/host/)]);
  });

  it('wants every id once: of teams, keys and endpoints in the file, of flows in their team', () => {
    const key = `{ id: k, sha256: ${SHA256}, scopes: [] }`;
    const team = (rest: string) =>
      `  - { id: t, api_keys: [${key}], flows: [{ id: f, state: live }${rest}],\n      endpoints: [{ id: ep_a, flow: f, target: { kind: echo } }] }\n`;
    const found = mistakesOf(`teams:\n${team('')}${team(', { id: f, state: paused }')}`);
    expect(
      found.map((mistake) =>
        mistake.replace(/^(\d+):\d+: (\S+): is the id of another one at .*:(\d+):\d+$/, '$1 $2 $3'),
      ),
    ).toEqual([
      '4 teams[1].id 2',
      '4 teams[1].api_keys[0].id 2',
      '4 teams[1].flows[1].id 4',
      '5 teams[1].endpoints[0].id 3',
    ]);
  });

  it('tells mistakes of form and of meaning together, in the order of the file', () => {
    const found = mistakesOf(`teams:
  - id: t
    feature: {}
    endpoints:
      - { id: ep_a, flow: nowhere, target: { kind: echo } }
      - { id: ep_b, flow: nowhere, target: { kind: rtp } }
      - { id: ep_b, flow: 5 }
    mint_rate: { limit: 0 }
`);
    expect(found.map((mistake) => mistake.split(':')[0])).toEqual(['3', '5', '6', '6', '7', '7', '7', '8']);
  });

  it('cannot be changed by a reader', () => {
    const directory = load(endpoint('target: { kind: echo }'));
    const [first] = directory.endpoints;
    for (const part of [
      directory,
      directory.endpoints,
      first,
      first?.media,
      first?.allowedOrigins,
      directory.team('t'),
    ]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });
});

describe('the demo tenants', () => {
  const directory = loadTenants('config/tenants.yaml');

  it('have an echo, an audio echo and a room, and no key that everybody knows', () => {
    expect(directory.endpoints.map(({ id, target, media }) => [id, target.kind, media.audio, media.video])).toEqual([
      ['ep_echo', 'echo', true, true],
      ['ep_echo_audio', 'echo', true, false],
      ['ep_room', 'room', true, true],
    ]);
    expect(directory.apiKey('demo')).toBeUndefined();
    expect(directory.apiKey('backend')).toBeUndefined();
  });

  it('take the key that the demo makes', () => {
    const key = { id: 'demo', team: 'team_demo', sha256: Buffer.alloc(32), scopes: new Set<never>() };
    const demo = withApiKey(directory, key);
    expect(demo.apiKey('demo')).toBe(key);
    expect(demo.endpoint('ep_room')).toBe(directory.endpoint('ep_room'));
    expect(directory.apiKey('demo')).toBeUndefined();
  });
});

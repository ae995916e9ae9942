import { relative } from 'node:path';
import { Value } from 'typebox/value';
import {
  ConfigError,
  fitSchema,
  type Loose,
  listOf,
  type Path,
  parseYaml,
  readText,
  type YamlFile,
} from '../yaml-file.ts';
import type { ApiKey, Directory, Endpoint, Flow, Team } from './directory.ts';
import { normalizeOrigin } from './origin.ts';
import { type EndpointEntry, EndpointSchema, type TeamEntry, type Tenants, TenantsSchema } from './tenants-schema.ts';

/**
 * Reads the tenants file into one immutable directory.
 * @throws {ConfigError} with every mistake and its place, also those that show only when parts are compared.
 */
export function loadTenants(path: string): Directory {
  const name = relative(process.cwd(), path) || path;
  return buildDirectory(parseTenants(readText(path, name), name));
}

/** The same from the text of such a file; its mistakes are told under `name`. */
export const readTenants = (text: string, name: string): Directory => buildDirectory(parseTenants(text, name));

/**
 * The entries of a tenants file, with their defaults.
 * @throws {ConfigError} like {@link loadTenants}
 */
export function parseTenants(text: string, name: string): Tenants {
  const file = parseYaml(text, name);
  const tenants = fitSchema(file, TenantsSchema);
  checkIds(file, tenants.teams);
  for (const [path, endpoint, team] of endpointsOf(tenants.teams)) checkEndpoint(file, path, endpoint, team);
  const mistakes = file.mistakes();
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return tenants;
}

/** The same directory with one more API key, which the demo makes at its start. */
export const withApiKey = (directory: Directory, key: ApiKey): Directory =>
  Object.freeze({ ...directory, apiKey: (id: string) => (id === key.id ? key : directory.apiKey(id)) });

/** Ids are unique: of teams, keys and endpoints in the file, of flows in their team. */
function checkIds(file: YamlFile, teams: unknown): void {
  const unique = () => {
    const places = new Map<string, string>();
    return (path: Path, list: unknown) => {
      for (const [i, id] of idsOf(list).entries()) {
        if (id === undefined) continue;
        const first = places.get(id);
        if (first === undefined) places.set(id, file.where([...path, i, 'id']));
        else file.mistake([...path, i, 'id'], `is the id of another one at ${first}`);
      }
    };
  };
  const [keys, endpoints] = [unique(), unique()];
  unique()(['teams'], teams);
  for (const [i, team] of listOf(teams).entries()) {
    keys(['teams', i, 'api_keys'], team.api_keys);
    endpoints(['teams', i, 'endpoints'], team.endpoints);
    unique()(['teams', i, 'flows'], team.flows);
  }
}

function checkEndpoint(file: YamlFile, path: Path, endpoint: EndpointEntry, team: Loose): void {
  const { flow, target, media, allowed_origins } = endpoint;
  if (!idsOf(team.flows).includes(flow)) file.mistake([...path, 'flow'], 'is not a flow of this team');
  if (target.kind === 'rtp') {
    file.mistake([...path, 'target', 'kind'], 'rtp cannot be used until that target exists; use echo or room');
  }
  if (!media.audio && !media.video) file.mistake([...path, 'media'], 'must have audio or video');
  if (media.simulcast && !canSimulcast(media)) {
    file.mistake([...path, 'media', 'simulcast'], 'works with video, and with VP8 and H264 only');
  }
  for (const [i, origin] of allowed_origins.entries()) {
    if (normalizeOrigin(origin) === undefined) {
      file.mistake([...path, 'allowed_origins', i], 'must be "*" or scheme://host[:port], such as https://example.com');
    }
  }
}

/** mediasoup takes simulcast of these codecs; a section that offers layers offers only them. */
const canSimulcast = ({ video, video_codec = 'VP8' }: EndpointEntry['media']): boolean =>
  video && (video_codec === 'VP8' || video_codec === 'H264');

function buildDirectory({ teams: entries }: Tenants): Directory {
  const teams = new Map<string, Team>();
  const keys = new Map<string, ApiKey>();
  const flows = new Map<string, ReadonlyMap<string, Flow>>();
  const endpoints = new Map<string, Endpoint>();
  for (const { id: team, features, mint_rate, ...lists } of entries) {
    const mintRate = Object.freeze({ limit: mint_rate.limit, windowSeconds: mint_rate.window_seconds });
    teams.set(team, Object.freeze({ id: team, webrtc: features.webrtc, mintRate }));
    flows.set(team, new Map(lists.flows.map(toFlow)));
    for (const { id, sha256, scopes } of lists.api_keys) {
      keys.set(id, Object.freeze({ id, team, sha256: Buffer.from(sha256, 'hex'), scopes: new Set(scopes) }));
    }
    for (const entry of lists.endpoints) endpoints.set(entry.id, toEndpoint(team, entry));
  }
  return Object.freeze({
    team: (id: string) => teams.get(id),
    apiKey: (id: string) => keys.get(id),
    flow: (team: string, flow: string) => flows.get(team)?.get(flow),
    endpoint: (id: string) => endpoints.get(id),
    endpoints: Object.freeze([...endpoints.values()]),
  });
}

const toFlow = ({ id, state, end_sessions }: TeamEntry['flows'][number]): [string, Flow] => [
  id,
  Object.freeze({ state, endSessions: end_sessions }),
];

function toEndpoint(team: string, { id, flow, webrtc, state, target, media, ...rules }: EndpointEntry): Endpoint {
  const kind = target.kind === 'room' ? 'room' : 'echo';
  return Object.freeze({
    id,
    team,
    flow,
    webrtc,
    enabled: state === 'enabled',
    target: Object.freeze({ kind }),
    media: Object.freeze({
      audio: media.audio,
      video: media.video,
      simulcast: media.simulcast ?? (kind === 'room' && canSimulcast(media)),
      ...(media.stereo && { stereo: true }),
      ...(media.video_codec && { videoCodec: media.video_codec }),
    }),
    maxSessions: rules.max_sessions,
    maxDurationSeconds: rules.max_duration_seconds,
    allowedOrigins: Object.freeze(rules.allowed_origins.map((origin) => normalizeOrigin(origin) ?? origin)),
  });
}

const idsOf = (list: unknown): (string | undefined)[] =>
  listOf(list).map(({ id }) => (typeof id === 'string' ? id : undefined));

/** Every endpoint that by itself is right, with its path and its team. */
function* endpointsOf(teams: unknown): Generator<[Path, EndpointEntry, Loose]> {
  for (const [t, team] of listOf(teams).entries()) {
    for (const [e, endpoint] of listOf(team.endpoints).entries()) {
      if (Value.Check(EndpointSchema, endpoint)) yield [['teams', t, 'endpoints', e], endpoint, team];
    }
  }
}

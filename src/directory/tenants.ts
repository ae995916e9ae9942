import { Value } from 'typebox/value';
import {
  ConfigError,
  fitSchema,
  listOf,
  nameOf,
  type Path,
  parseYaml,
  readTextSync,
  type YamlFile,
} from '../config/yaml-file.ts';
import { buildDirectory } from './build.ts';
import type { ApiKey, Directory } from './directory.ts';
import { normalizeOrigin } from './origin.ts';
import {
  canSimulcast,
  type EndpointEntry,
  EndpointSchema,
  hasVideo,
  type Tenants,
  TenantsSchema,
} from './tenants-schema.ts';

/**
 * Reads the tenants file into one immutable directory.
 * @throws {ConfigError} with every mistake and its place, also those that show only when parts are compared.
 */
export const loadTenants = (path: string): Directory => buildDirectory(readTenants(path).tenants);

/** The file's text, and its entries. @throws {ConfigError} like {@link loadTenants} */
export function readTenants(path: string): { text: string; tenants: Tenants } {
  const name = nameOf(path);
  const text = readTextSync(path, name);
  return { text, tenants: parseTenants(text, name) };
}

/**
 * The entries of a tenants file, with their defaults.
 * @throws {ConfigError} like {@link loadTenants}
 */
export function parseTenants(text: string, name: string): Tenants {
  const file = parseYaml(text, name);
  const tenants = fitSchema(file, TenantsSchema);
  checkIds(file, tenants.teams);
  for (const [path, endpoint, flows] of endpointsOf(tenants.teams)) checkEndpoint(file, path, endpoint, flows);
  const mistakes = file.mistakes();
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return tenants;
}

/** The same directory with one more API key, which the demo makes at its start. */
export const withApiKey = (directory: Directory, key: ApiKey): Directory =>
  Object.freeze({
    ...directory,
    apiKey: (id: string) => (id === key.id ? key : directory.apiKey(id)),
    hasApiKeys: true,
  });

/** Ids are unique: of teams, keys and endpoints in the file, of flows in their team. */
function checkIds(file: YamlFile, teams: unknown): void {
  const unique = () => {
    const places = new Map<string, Path>();
    return (path: Path, list: unknown) => {
      for (const [i, id] of idsOf(list).entries()) {
        if (id === undefined) continue;
        const place = [...path, i, 'id'];
        const first = places.get(id);
        if (first === undefined) places.set(id, place);
        else file.mistake(place, `is the id of another one at ${file.where(first)}`);
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

/** Notes what is wrong with it, and writes its origins as browsers do. */
function checkEndpoint(file: YamlFile, path: Path, endpoint: EndpointEntry, flows: ReadonlySet<unknown>): void {
  const { flow, media, allowed_origins } = endpoint;
  if (!flows.has(flow)) file.mistake([...path, 'flow'], 'is not a flow of this team');
  checkTarget(file, path, endpoint);
  if (!media.audio && !hasVideo(endpoint)) file.mistake([...path, 'media'], 'must have audio or video');
  if (media.simulcast && !canSimulcast(endpoint)) {
    file.mistake([...path, 'media', 'simulcast'], 'works with video, and with VP8 and H264 only');
  }
  for (const [i, origin] of allowed_origins.entries()) {
    const normal = normalizeOrigin(origin);
    if (normal !== undefined) allowed_origins[i] = normal;
    else {
      file.mistake([...path, 'allowed_origins', i], 'must be "*" or scheme://host[:port], such as https://example.com');
    }
  }
}

function checkTarget(file: YamlFile, path: Path, { target, media }: EndpointEntry): void {
  const { kind, ...reached } = target;
  const at = [...path, 'target'];
  if (kind === 'rtp') file.mistake([...at, 'kind'], 'rtp cannot be used until that target exists; use stream');
  if (kind !== 'stream') {
    for (const key of Object.keys(reached)) file.mistake([...at, key], 'belongs to a stream target', 'key');
    return;
  }
  for (const key of ['url', 'format'] as const) if (reached[key] === undefined) file.mistake(at, `must have a ${key}`);
  if (media.video) file.mistake([...path, 'media', 'video'], 'cannot be: a stream target takes sound alone');
}

const idsOf = (list: unknown): (string | undefined)[] =>
  listOf(list).map(({ id }) => (typeof id === 'string' ? id : undefined));

/** Every endpoint that by itself is right, with its path and the flows of its team. */
function* endpointsOf(teams: unknown): Generator<[Path, EndpointEntry, ReadonlySet<unknown>]> {
  for (const [t, team] of listOf(teams).entries()) {
    const flows = new Set(idsOf(team.flows));
    for (const [e, endpoint] of listOf(team.endpoints).entries()) {
      if (Value.Check(EndpointSchema, endpoint)) yield [['teams', t, 'endpoints', e], endpoint, flows];
    }
  }
}

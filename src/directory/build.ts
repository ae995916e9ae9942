import type { ApiKey, Directory, Endpoint, Flow, Team } from './directory.ts';
import { canSimulcast, type EndpointEntry, hasVideo, type TeamEntry, type Tenants } from './tenants-schema.ts';

type Lists = 'flows' | 'api_keys' | 'endpoints';

/** One entry of a tenants file: a team, and then what belongs to it. */
export type Entry = ['team', Omit<TeamEntry, Lists>] | { [List in Lists]: [List, TeamEntry[List][number]] }[Lists];

/** The entries of a tenants file, one by one. */
export function* entriesOf({ teams }: Tenants): Generator<Entry> {
  for (const { flows, api_keys, endpoints, ...team } of teams) {
    yield ['team', team];
    for (const flow of flows) yield ['flows', flow];
    for (const key of api_keys) yield ['api_keys', key];
    for (const endpoint of endpoints) yield ['endpoints', endpoint];
  }
}

export function buildDirectory(tenants: Tenants): Directory {
  const builder = new DirectoryBuilder();
  for (const entry of entriesOf(tenants)) builder.add(entry);
  return builder.directory();
}

/** Makes a directory of entries that come a few at a time, so that a large one never takes the thread for long. */
export class DirectoryBuilder {
  readonly #teams = new Map<string, Team>();
  readonly #keys = new Map<string, ApiKey>();
  readonly #flows = new Map<string, Map<string, Flow>>();
  readonly #endpoints = new Map<string, Endpoint>();
  #team = '';

  add([kind, entry]: Entry): void {
    switch (kind) {
      case 'team':
        this.#team = entry.id;
        this.#teams.set(entry.id, toTeam(entry));
        this.#flows.set(entry.id, new Map());
        return;
      case 'flows':
        this.#flows
          .get(this.#team)
          ?.set(entry.id, Object.freeze({ state: entry.state, endSessions: entry.end_sessions }));
        return;
      case 'api_keys':
        this.#keys.set(entry.id, toApiKey(this.#team, entry));
        return;
      case 'endpoints':
        this.#endpoints.set(entry.id, toEndpoint(this.#team, entry));
    }
  }

  /** Everything that was added; nothing may be added any more. */
  directory(): Directory {
    const [teams, keys, flows, endpoints] = [this.#teams, this.#keys, this.#flows, this.#endpoints];
    return Object.freeze({
      team: (id: string) => teams.get(id),
      apiKey: (id: string) => keys.get(id),
      flow: (team: string, flow: string) => flows.get(team)?.get(flow),
      endpoint: (id: string) => endpoints.get(id),
      hasApiKeys: keys.size > 0,
      endpoints: Object.freeze([...endpoints.values()]),
    });
  }
}

const toTeam = ({ id, features, mint_rate }: Omit<TeamEntry, Lists>): Team =>
  Object.freeze({
    id,
    webrtc: features.webrtc,
    mintRate: Object.freeze({ limit: mint_rate.limit, windowSeconds: mint_rate.window_seconds }),
  });

const toApiKey = (team: string, { id, sha256, scopes }: TeamEntry['api_keys'][number]): ApiKey =>
  Object.freeze({ id, team, sha256: Buffer.from(sha256, 'hex'), scopes: new Set(scopes) });

const CONNECT_SECONDS = 10;
const RECONNECT_SECONDS = 15;

/** Whatever else it may be has been refused. */
function toTarget({ kind, url = '', format = 'media-streams', ...times }: EndpointEntry['target']): Endpoint['target'] {
  if (kind !== 'stream') return { kind: kind === 'room' ? kind : 'echo' };
  const { connect_seconds = CONNECT_SECONDS, reconnect_seconds = RECONNECT_SECONDS } = times;
  return { kind, url, format, connectSeconds: connect_seconds, reconnectSeconds: reconnect_seconds };
}

function toEndpoint(team: string, entry: EndpointEntry): Endpoint {
  const { id, flow, webrtc, state, target, media, ...rules } = entry;
  return Object.freeze({
    id,
    team,
    flow,
    webrtc,
    enabled: state === 'enabled',
    target: Object.freeze(toTarget(target)),
    media: Object.freeze({
      audio: media.audio,
      video: hasVideo(entry),
      simulcast: media.simulcast ?? (target.kind === 'room' && canSimulcast(entry)),
      ...(media.stereo && { stereo: true }),
      ...(media.video_codec && { videoCodec: media.video_codec }),
    }),
    maxSessions: rules.max_sessions,
    maxDurationSeconds: rules.max_duration_seconds,
    allowedOrigins: Object.freeze(rules.allowed_origins),
  });
}

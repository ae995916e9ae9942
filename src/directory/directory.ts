export type FlowState = 'live' | 'paused' | 'archived';
export type Scope = 'CREATE_CALL_TOKEN' | 'READ_CALL_TOKEN' | 'END_CALL';
export type VideoCodec = 'VP8' | 'H264' | 'VP9' | 'AV1';

export interface Team {
  id: string;
  webrtc: boolean;
  mintRate: { limit: number; windowSeconds: number };
}

/** What answers a call. */
export interface Flow {
  state: FlowState;
  /** Whether running sessions end as well when the flow is not live. */
  endSessions: boolean;
}

export interface ApiKey {
  id: string;
  team: string;
  /** SHA-256 of the whole key. */
  sha256: Buffer;
  scopes: ReadonlySet<Scope>;
}

/** What a call on an endpoint may carry and where its media goes. */
export interface EndpointMedia {
  audio: boolean;
  video: boolean;
  simulcast: boolean;
  /** Whether Opus is asked for in stereo and sent in it. */
  stereo?: boolean;
  /** The one video codec of a room, or the only one offered elsewhere; undefined offers all. */
  videoCodec?: VideoCodec;
}

/** A media application that answers the calls of an endpoint, over a WebSocket. */
export interface StreamTarget {
  kind: 'stream';
  url: string;
  format: 'media-streams';
  connectSeconds: number;
  reconnectSeconds: number;
}

export interface Endpoint {
  id: string;
  team: string;
  flow: string;
  webrtc: boolean;
  enabled: boolean;
  target: { kind: 'echo' | 'room' } | StreamTarget;
  media: EndpointMedia;
  maxSessions: number;
  maxDurationSeconds: number;
  allowedOrigins: readonly string[];
}

/** One immutable version of all teams, keys, flows and endpoints. */
export interface Directory {
  team(id: string): Team | undefined;
  apiKey(id: string): ApiKey | undefined;
  flow(team: string, flow: string): Flow | undefined;
  endpoint(id: string): Endpoint | undefined;
  /** Whether anybody at all can mint. */
  readonly hasApiKeys: boolean;
  /** Every endpoint, in the order of the file. */
  readonly endpoints: readonly Endpoint[];
}

/** Where the current version is found; it may be another one at every look. */
export interface DirectorySource {
  readonly current: Directory;
}

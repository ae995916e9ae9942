export const MEDIA = ['none', 'audio', 'audio+video'] as const;
/** What a simulated client sends; `none` negotiates and lets no media flow. */
export type Media = (typeof MEDIA)[number];

/**
 * How a session is made to end: by the client's hang-up; by the server at the token's longest duration; by the backend's
 * revocation; by a socket that breaks and does not come back; by the server because its offer was never answered.
 */
export type Ending = 'hangup' | 'expiry' | 'revoke' | 'loss' | 'silence';

/** One session to be. */
export interface Arrival {
  /** Milliseconds after the start of the run at which its token is asked for. */
  atMs: number;
  endpointId: string;
  media: Media;
  /** How long it is held, counted from its scheduled arrival, in milliseconds. */
  durationMs: number;
  ending: Ending;
}

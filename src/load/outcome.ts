import type { Packets } from '../peer/peer.ts';
import type { Loss } from './losses.ts';

/**
 * The stages of a session. All but `end` are counted from the scheduled arrival, so that a tester or a server that falls
 * behind shows (no coordinated omission): the token is minted; the socket is open; the offer is there; ICE and DTLS are up;
 * the first media packet came back. `end` counts from the scheduled end until the server said `ended`.
 */
export const STAGES = ['mint', 'socket', 'offer', 'connected', 'first_packet', 'end'] as const;
export type Stage = (typeof STAGES)[number];

/**
 * What a session was about when it failed: a stage that it did not reach, `race` for what the losers heard, `hold` for its time
 * between the first packet and the end, or `reuse` of its token.
 */
export type Step = Stage | 'race' | 'hold' | 'reuse';

export interface Failed {
  /** Milliseconds after the start of the run. */
  atMs: number;
  step: Step;
  /** What the system said, such as `ECONNRESET`. */
  cause?: string;
  endpointId: string;
  url: string;
  tokenId?: string;
  sessionId?: string;
}

/** What became of one arrival. */
export interface Outcome {
  /** Index of the arrival in its plan. */
  index: number;
  /** Scheduled arrival and, if it began and ended, the end of the session; milliseconds after the start of the run. */
  scheduledMs: number;
  endedMs?: number;
  /** Milliseconds of each stage that was reached. */
  timings: Partial<Record<Stage, number>>;
  packets: Packets;
  /** Why it failed: a code of the server's, `http_<status>`, `socket_closed_<code>`, `no_media`, `timeout`, …; absent when all went well. */
  error?: string;
  /** Where it failed, and what its traces in the server's log are found by; with `error` only. */
  failed?: Failed;
  /** Reason of the server's `ended`. */
  endReason?: string;
  /** How much later than scheduled the tester itself began, milliseconds; the timings hold it too. */
  lateMs: number;
  /** How many of several presenters got an offer for the one token. */
  winners?: number;
  /** Whether the token, presented again after its session, was refused or taken, or could not be presented. */
  reuse?: 'refused' | 'taken' | 'not_presented';
  /** Each time that its socket was lost while it ran. */
  losses?: readonly Loss[];
  /** Fresh connections that its own node offered, and how long each took from the offer until it was live. */
  rehomed?: { times: number; liveMs: readonly number[] };
}

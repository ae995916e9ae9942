import type { Packets } from '../peer/peer.ts';
import type { Stage, Step } from './outcome.ts';

/** Milliseconds. */
export interface Percentiles {
  count: number;
  p50: number;
  p90: number;
  p95: number;
  p99: number;
  max: number;
}

/** One second of the run. */
export interface Second {
  /** Seconds after the start of the run. */
  at: number;
  /** Arrivals whose scheduled time fell into it. */
  arrived: number;
  /** Sessions that had an offer and were not ended at its end. */
  concurrent: number;
  errors: number;
  /** Of the sessions that arrived in it, milliseconds; absent when none got that far. */
  offer?: { p50: number; p95: number };
  connected?: { p50: number; p95: number };
}

/** A session that failed, so that it can be found in the server's log. */
export interface FailedSession {
  /** Index in the plan. */
  index: number;
  error: string;
  /** What it was about then: the stage that it did not reach, `race`, `hold` or `reuse`. */
  step: Step;
  /** What the system said of it, such as `ECONNRESET`. */
  cause?: string;
  /** Seconds after the start of the run, and RFC 3339. */
  at: number;
  time: string;
  url: string;
  endpointId: string;
  tokenId?: string;
  sessionId?: string;
}

/** `losses` are those that were `attached`, `adopted` or `gone`. */
export interface Returns {
  losses: number;
  /** Resumed at the node that the client had left. */
  attached: number;
  /** Resumed at another node, which adopted the session. */
  adopted: number;
  /** Not resumed, by reason. */
  gone: Record<string, number>;
  /** Fresh connections that the session's own node offered, after the death of a worker say. */
  rehomed: number;
  /** Milliseconds from a loss until the session was resumed. */
  back: Percentiles;
  /** Milliseconds from a loss, or from a fresh offer without one, until the session was live again. */
  live: Percentiles;
}

/** What a run showed: what `--json` writes, and what the table and the page are made of. */
export interface Report {
  command: 'load' | 'replay';
  /** RFC 3339. */
  startedAt: string;
  seconds: number;
  urls: string[];
  /** What was asked for, in words, such as `--sessions 100`; never a secret. */
  options: string[];
  interrupted: boolean;
  sessions: { planned: number; arrived: number; offered: number; connected: number; ended: number; failed: number };
  timings: Record<Stage, Percentiles>;
  /** How much later than scheduled the tester itself began sessions: a tester out of breath measures itself. */
  lateness: Percentiles;
  packets: Packets;
  /** Failures by code. */
  errors: Record<string, number>;
  /** The first 1,000 sessions that failed, in the order in which they did. */
  failedSessions: FailedSession[];
  /** Ended sessions by the server's reason. */
  endReasons: Record<string, number>;
  /** Tokens presented by several clients at once: with one winner, with none, with several; and those of which
   * some client could not present it. */
  race?: { contenders: number; oneWinner: number; noWinner: number; severalWinners: number; notHeld: number };
  /** Tokens presented again after their session: how many, how many of these were taken, and for how many it could not be done. */
  reuse?: { presented: number; taken: number; notPresented: number };
  /** Sockets killed, and how many of these times the session was resumed. */
  churn?: { killed: number; resumed: number };
  /** Every loss of a socket while its session ran, killed or not, and what became of it. */
  returns?: Returns;
  series: Second[];
  /** Why the run fails, in sentences; empty when it passes. */
  failures: string[];
}

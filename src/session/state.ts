import type { CallgateError } from '../errors.ts';
import type { Offer } from '../media/media.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { ApplicationState, ServerMessage, Track, WantedMedia } from '../protocol/messages.ts';

/** All deadlines of a session, in milliseconds. */
export interface Deadlines {
  answer: number;
  connect: number;
  reoffer: number;
  /** How long a client may stay away. */
  grace: number;
  /** How long another worker is looked for. */
  rehome: number;
  unreachable: number;
  settle: number;
}

export type TimerName =
  | 'answer'
  | 'connect'
  | 'unreachable'
  | 'expiry'
  | 'notice'
  | 'grace'
  | 'rehome'
  | 'retry'
  | 'settle';

/**
 * `opening`: a call is being opened. `negotiating`: offered, until ICE and DTLS are up. `live`: media flows.
 * `ending`: everything is released, the stored end is awaited. `ended`: nothing is left.
 */
export type Phase = 'opening' | 'negotiating' | 'live' | 'ending' | 'ended';

/** An offer that waits for its answer. */
export interface Outstanding {
  readonly offer: Offer;
  /** To be answered on a new connection. */
  readonly fresh: boolean;
  /** How long its answer may take. */
  readonly ms: number;
}

export interface State {
  readonly phase: Phase;
  readonly deadlines: Deadlines;
  /** Which of the session's calls, one after the other, is the present one; what others still say is dropped. */
  readonly connection: number;
  /** Whether the client can follow an offer on a new connection. */
  readonly fresh: boolean;
  /** What the client wants of each kind, as far as it has said it. */
  readonly media: WantedMedia;
  /** Whether the client has had an offer, and with it a ticket: what comes first from another call is then a fresh offer. */
  readonly offered: boolean;
  readonly outstanding: Outstanding | undefined;
  /** Who is on which section, as the newest offer has it; rooms only. */
  readonly tracks: Track[] | undefined;
  /** What becomes of the connection to the application that answers; undefined where none does. */
  readonly application: ApplicationState | undefined;
  /** What the client asked for while there was no call to change. */
  readonly wanted: WantedMedia | undefined;
  /** Whether there is a client to tell things to. */
  readonly attached: boolean;
  /** Whether another worker is being looked for. */
  readonly rehoming: boolean;
  /** The pause before the next try to open a call; 0 tries at once. */
  readonly retryMs: number;
  /** Why it ends; known from `ending` on. */
  readonly reason: EndReason | undefined;
  /** What is left to announce, in milliseconds before the end, longest first. */
  readonly notices: readonly number[];
}

export type Event =
  | { type: 'begin'; remainingMs: number }
  | { type: 'open_failed'; connection: number; error: CallgateError }
  | { type: 'offer'; connection: number; offer: Offer }
  | { type: 'answer'; offerId: string; sdp: string }
  | { type: 'not_accepted'; connection: number; error: CallgateError }
  | { type: 'connected'; connection: number }
  | { type: 'reachable'; connection: number; reachable: boolean }
  | { type: 'call_lost'; connection: number }
  | { type: 'call_ended'; connection: number; reason: 'completed' | 'negotiation_failed' }
  | { type: 'refused'; error: CallgateError }
  | { type: 'application'; state: ApplicationState }
  | { type: 'said'; content: unknown }
  | { type: 'change'; media: WantedMedia }
  | { type: 'restart' }
  | { type: 'hangup' }
  | { type: 'client_lost' }
  | { type: 'client_back'; fresh: boolean }
  | { type: 'timeout'; timer: TimerName; remainingMs: number }
  | { type: 'stop'; reason: EndReason }
  | { type: 'moved' }
  | { type: 'settled' };

export type Effect =
  | { type: 'open_call'; connection: number }
  | { type: 'close_call' }
  | { type: 'accept'; offerId: string; sdp: string }
  | { type: 'change'; media: WantedMedia }
  | { type: 'restart' }
  | { type: 'send_offer'; outstanding: Outstanding }
  | { type: 'send_resumed' }
  | { type: 'send'; message: ServerMessage }
  | { type: 'start_timer'; timer: TimerName; ms: number }
  | { type: 'stop_timer'; timer: TimerName }
  | { type: 'connected' }
  | { type: 'rehomed' }
  | { type: 'settle'; reason: EndReason }
  | { type: 'close_client'; code: number }
  | { type: 'done'; reason: EndReason }
  | { type: 'left' };

export type Step = readonly [State, readonly Effect[]];

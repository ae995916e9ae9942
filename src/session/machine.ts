import { CallgateError } from '../errors.ts';
import type { Offer } from '../media/media.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { ServerMessage, WantedMedia } from '../protocol/messages.ts';

/** All deadlines of a session, in milliseconds. */
export interface Deadlines {
  answer: number;
  connect: number;
  reoffer: number;
  grace: number;
  unreachable: number;
  settle: number;
}

export type TimerName = 'answer' | 'connect' | 'unreachable' | 'expiry' | 'notice' | 'settle';

/**
 * `opening`: burned, the call is being opened. `negotiating`: offered, until ICE and DTLS are up. `live`: media flows.
 * `ending`: everything is released, the stored end is awaited. `ended`: nothing is left.
 */
export type Phase = 'opening' | 'negotiating' | 'live' | 'ending' | 'ended';

export interface State {
  readonly phase: Phase;
  readonly deadlines: Deadlines;
  /** The offer that waits for its answer. */
  readonly outstanding: string | undefined;
  /** What the client asked for before there was a call to change. */
  readonly wanted: WantedMedia | undefined;
  /** Whether there is a client to tell things to. */
  readonly attached: boolean;
  /** Why it ends; known from `ending` on. */
  readonly reason: EndReason | undefined;
  /** What is left to announce, in milliseconds before the end, longest first. */
  readonly notices: readonly number[];
}

export type Event =
  | { type: 'begin'; remainingMs: number }
  | { type: 'open_failed'; error: CallgateError }
  | { type: 'offer'; offer: Offer }
  | { type: 'answer'; offerId: string; sdp: string }
  | { type: 'accepted'; offerId: string }
  | { type: 'refused'; error: CallgateError }
  | { type: 'connected' }
  | { type: 'reachable'; reachable: boolean }
  | { type: 'change'; media: WantedMedia }
  | { type: 'restart' }
  | { type: 'hangup' }
  | { type: 'client_lost' }
  | { type: 'timeout'; timer: TimerName; remainingMs: number }
  | { type: 'stop'; reason: EndReason }
  | { type: 'settled' };

export type Effect =
  | { type: 'open_call' }
  | { type: 'close_call' }
  | { type: 'accept'; offerId: string; sdp: string }
  | { type: 'change'; media: WantedMedia }
  | { type: 'restart' }
  | { type: 'send_offer'; offer: Offer }
  | { type: 'send'; message: ServerMessage }
  | { type: 'start_timer'; timer: TimerName; ms: number }
  | { type: 'stop_timer'; timer: TimerName }
  | { type: 'settle'; reason: EndReason }
  | { type: 'close_client'; code: number }
  | { type: 'done'; reason: EndReason };

type Step = readonly [State, readonly Effect[]];

const NOTICES_MS = [60_000, 10_000];
const NORMAL_CLOSURE = 1000;

export const initial = (deadlines: Deadlines): State => ({
  phase: 'opening',
  deadlines,
  outstanding: undefined,
  wanted: undefined,
  attached: true,
  reason: undefined,
  notices: NOTICES_MS,
});

/** Advances a session by one event. Pure: what is to be done is in the effects, in order. */
export function step(state: State, event: Event): Step {
  if (state.phase === 'ended') return [state, []];
  if (state.phase === 'ending') return stepEnding(state, event);
  switch (event.type) {
    case 'begin':
      return begin(state, event.remainingMs);
    case 'offer':
      return offer(state, event.offer);
    case 'answer':
      // A stale answer is dropped unparsed.
      if (event.offerId !== state.outstanding) return [state, []];
      // It came in time, however long the media side takes with it.
      return [
        state,
        [
          { type: 'stop_timer', timer: 'answer' },
          { type: 'accept', offerId: event.offerId, sdp: event.sdp },
        ],
      ];
    case 'accepted':
      if (event.offerId !== state.outstanding) return [state, []];
      return [{ ...state, outstanding: undefined }, []];
    case 'connected':
      if (state.phase === 'live') return [state, []];
      return [
        { ...state, phase: 'live' },
        [
          { type: 'stop_timer', timer: 'connect' },
          { type: 'send', message: { type: 'live' } },
        ],
      ];
    case 'reachable':
      return [state, [reachability(state, event.reachable)]];
    case 'change':
      if (state.phase === 'opening') return [{ ...state, wanted: { ...state.wanted, ...event.media } }, []];
      return [state, [{ type: 'change', media: event.media }]];
    case 'restart':
      return [state, [{ type: 'restart' }]];
    case 'timeout':
      return timeout(state, event.timer, event.remainingMs);
    case 'open_failed':
    case 'refused':
      return fail(state, event.error);
    case 'hangup':
      return end(state, 'completed');
    case 'client_lost':
      return end({ ...state, attached: false }, 'client_lost');
    case 'stop':
      return event.reason === 'negotiation_failed'
        ? fail(state, new CallgateError('negotiation_failed'))
        : end(state, event.reason);
    case 'settled':
      return [state, []];
    default:
      return event satisfies never;
  }
}

const begin = (state: State, remainingMs: number): Step => {
  const notices = NOTICES_MS.filter((before) => before < remainingMs);
  return [
    { ...state, notices },
    [
      { type: 'start_timer', timer: 'expiry', ms: remainingMs },
      { type: 'start_timer', timer: 'connect', ms: state.deadlines.connect },
      ...nextNotice(notices, remainingMs),
      { type: 'open_call' },
    ],
  ];
};

const nextNotice = (notices: readonly number[], remainingMs: number): Effect[] =>
  notices[0] === undefined ? [] : [{ type: 'start_timer', timer: 'notice', ms: Math.max(0, remainingMs - notices[0]) }];

const offer = (state: State, offer: Offer): Step =>
  state.phase === 'opening'
    ? [{ ...state, phase: 'negotiating', outstanding: offer.id, wanted: undefined }, firstOffer(state, offer)]
    : [{ ...state, outstanding: offer.id }, laterOffer(state, offer)];

const firstOffer = ({ deadlines, wanted }: State, offer: Offer): Effect[] => [
  { type: 'send_offer', offer },
  ...tracks(offer),
  { type: 'start_timer', timer: 'answer', ms: deadlines.answer },
  ...(wanted ? [{ type: 'change', media: wanted } as const] : []),
];

/** Who is on which section is told before the offer that says so, but for the first: the offer is the first frame. */
const laterOffer = ({ deadlines }: State, offer: Offer): Effect[] => [
  ...tracks(offer),
  { type: 'send_offer', offer },
  { type: 'start_timer', timer: 'answer', ms: deadlines.reoffer },
];

const tracks = ({ tracks }: Offer): Effect[] => (tracks ? [{ type: 'send', message: { type: 'tracks', tracks } }] : []);

const reachability = ({ deadlines }: State, reachable: boolean): Effect =>
  reachable
    ? { type: 'stop_timer', timer: 'unreachable' }
    : { type: 'start_timer', timer: 'unreachable', ms: deadlines.unreachable };

const timeout = (state: State, timer: TimerName, remainingMs: number): Step => {
  switch (timer) {
    case 'answer':
      return end(state, 'answer_timeout');
    case 'connect':
      return end(state, 'connect_timeout');
    case 'unreachable':
      return end(state, 'client_lost');
    case 'expiry':
      return end(state, 'expired');
    case 'notice':
      return notice(state, remainingMs);
    case 'settle':
      return [state, []];
    default:
      return timer satisfies never;
  }
};

const notice = (state: State, remainingMs: number): Step => {
  const [announced = 0, ...notices] = state.notices;
  // A timer may fire a millisecond early; the client is never told more than what the notice stands for.
  const left = Math.max(0, Math.round(Math.min(remainingMs, announced)));
  const told: Effect = { type: 'send', message: { type: 'expiring', expires_in_ms: left } };
  // The first frame is the offer, and it says how much is left.
  const due = state.phase === 'opening' ? [] : [told];
  return [{ ...state, notices }, [...due, ...nextNotice(notices, remainingMs)]];
};

/** After the burn only a failed negotiation is told with an error of its own; whatever else fails is an end. */
const fail = (state: State, error: CallgateError): Step => {
  if (error.code !== 'negotiation_failed') return end(state, 'worker_lost');
  const told: Effect = {
    type: 'send',
    message: { type: 'error', code: 'negotiation_failed', message: error.message, retryable: false },
  };
  const [next, effects] = end(state, 'negotiation_failed');
  return [next, state.attached ? [told, ...effects] : effects];
};

const RUNNING_TIMERS = ['answer', 'connect', 'unreachable', 'expiry', 'notice'] as const;

const end = (state: State, reason: EndReason): Step => [
  { ...state, phase: 'ending', reason, outstanding: undefined },
  [
    ...RUNNING_TIMERS.map((timer): Effect => ({ type: 'stop_timer', timer })),
    { type: 'close_call' },
    { type: 'settle', reason },
    { type: 'start_timer', timer: 'settle', ms: state.deadlines.settle },
  ],
];

/** The last frame follows the stored end and the freed place, or the settle deadline, whichever comes first. */
const stepEnding = (state: State, event: Event): Step => {
  const reason = state.reason ?? 'completed';
  if (event.type === 'client_lost') return [{ ...state, attached: false }, []];
  if (event.type !== 'settled' && !(event.type === 'timeout' && event.timer === 'settle')) return [state, []];
  const code = reason === 'negotiation_failed' ? new CallgateError(reason).closeCode : NORMAL_CLOSURE;
  const farewell: Effect[] = [
    { type: 'send', message: { type: 'ended', reason } },
    { type: 'close_client', code },
  ];
  return [
    { ...state, phase: 'ended' },
    [{ type: 'stop_timer', timer: 'settle' }, ...(state.attached ? farewell : []), { type: 'done', reason }],
  ];
};

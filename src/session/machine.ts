import { CallgateError } from '../errors.ts';
import type { Offer } from '../media/media.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { ApplicationState, ServerMessage, Track, WantedMedia } from '../protocol/messages.ts';
import type { Deadlines, Effect, Event, Outstanding, State, Step, TimerName } from './state.ts';

const NOTICES_MS = [60_000, 10_000];
const NORMAL_CLOSURE = 1000;
/** Come back with `resume` (RFC 6455 section 7.4.1, IANA: service restart). */
const SERVICE_RESTART = 1012;
/** Pauses between tries to open a call on another worker: the first is tried at once. */
const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 100;

/** What a session begins with: burned here, or adopted, with a client that has had an offer before. */
export interface Beginning {
  media: WantedMedia;
  fresh: boolean;
  adopted: boolean;
}

export const initial = (deadlines: Deadlines, { media, fresh, adopted }: Beginning): State => ({
  phase: 'opening',
  deadlines,
  connection: 0,
  fresh,
  media,
  offered: adopted,
  outstanding: undefined,
  tracks: undefined,
  application: undefined,
  wanted: undefined,
  attached: true,
  rehoming: false,
  retryMs: 0,
  reason: undefined,
  notices: NOTICES_MS,
});

/** Advances a session by one event. Pure: what is to be done is in the effects, in order. */
export function step(state: State, event: Event): Step {
  if (state.phase === 'ended') return [state, []];
  if (event.type === 'moved') return leave(state);
  if (state.phase === 'ending') return stepEnding(state, event);
  // Of a call that the session has left.
  if ('connection' in event && event.connection !== state.connection) return [state, []];
  switch (event.type) {
    case 'begin':
      return begin(state, event.remainingMs);
    case 'offer':
      return offer(state, event.offer);
    case 'answer':
      return answer(state, event.offerId, event.sdp);
    case 'connected':
      return connected(state);
    case 'reachable':
      return [state, [reachability(state, event.reachable)]];
    case 'application':
      return application(state, event.state);
    case 'said':
      return [state, state.offered ? tell(state, { type: 'message', content: event.content }) : []];
    case 'change':
      return change(state, event.media);
    case 'restart':
      return [state, state.phase === 'opening' ? [] : [{ type: 'restart' }]];
    case 'timeout':
      return timeout(state, event.timer, event.remainingMs);
    case 'open_failed':
    case 'call_lost':
      return lose(state);
    case 'call_ended':
      return event.reason === 'negotiation_failed'
        ? fail(state, new CallgateError('negotiation_failed'))
        : end(state, event.reason);
    case 'not_accepted':
    case 'refused':
      return fail(state, event.error);
    case 'hangup':
      return end(state, 'completed');
    case 'client_lost':
      return clientLost(state);
    case 'client_back':
      return clientBack(state, event.fresh);
    case 'stop':
      return end(state, event.reason);
    case 'settled':
      return [state, []];
    default:
      return event satisfies never;
  }
}

const start = (timer: TimerName, ms: number): Effect => ({ type: 'start_timer', timer, ms });
const stop = (timer: TimerName): Effect => ({ type: 'stop_timer', timer });
const tell = ({ attached }: State, message: ServerMessage): Effect[] => (attached ? [{ type: 'send', message }] : []);

const begin = (state: State, remainingMs: number): Step => {
  const notices = NOTICES_MS.filter((before) => before < remainingMs);
  return [
    { ...state, notices },
    [
      ...(state.offered ? [{ type: 'send_resumed' } as const] : []),
      start('expiry', remainingMs),
      start('connect', state.deadlines.connect),
      ...nextNotice(notices, remainingMs),
      { type: 'open_call', connection: state.connection },
    ],
  ];
};

const nextNotice = (notices: readonly number[], remainingMs: number): Effect[] =>
  notices[0] === undefined ? [] : [start('notice', Math.max(0, remainingMs - notices[0]))];

const offer = (state: State, offer: Offer): Step => {
  const first = state.phase === 'opening';
  const { deadlines, wanted, rehoming } = state;
  const ms = first ? deadlines.answer : deadlines.reoffer;
  const outstanding = { offer, fresh: first && state.offered, ms };
  const next: State = {
    ...state,
    phase: first ? 'negotiating' : state.phase,
    outstanding,
    tracks: offer.tracks ?? state.tracks,
    offered: true,
    wanted: undefined,
    rehoming: false,
  };
  return [
    next,
    [
      ...(rehoming ? [stop('rehome'), { type: 'rehomed' } as const] : []),
      ...(state.attached ? tellOffer(outstanding, offer.tracks, first) : []),
      ...(state.offered ? [] : tellApplication(state)),
      ...(wanted ? [{ type: 'change', media: wanted } as const] : []),
    ],
  ];
};

/** Who is on which section is told before the offer that says so, but for a call's first: the tracks speak of its connection. */
const tellOffer = (outstanding: Outstanding, tracks: Track[] | undefined, first: boolean): Effect[] => {
  const told: Effect[] = tracks ? [{ type: 'send', message: { type: 'tracks', tracks } }] : [];
  const sent: Effect = { type: 'send_offer', outstanding };
  return [...(first ? [sent, ...told] : [...told, sent]), start('answer', outstanding.ms)];
};

/** An answer to another offer than the one that waits for it is dropped unparsed. */
const answer = (state: State, offerId: string, sdp: string): Step => {
  if (offerId !== state.outstanding?.offer.id) return [state, []];
  // It came in time, however long the media side takes with it.
  return [{ ...state, outstanding: undefined }, [stop('answer'), { type: 'accept', offerId, sdp }]];
};

const connected = (state: State): Step => {
  if (state.phase === 'live') return [state, []];
  return [
    { ...state, phase: 'live', retryMs: 0 },
    [stop('connect'), { type: 'connected' }, ...tell(state, { type: 'live' })],
  ];
};

/** The first frame is the offer. */
const application = (state: State, now: ApplicationState): Step => {
  const next = { ...state, application: now };
  return [next, state.offered ? tellApplication(next) : []];
};

const tellApplication = (state: State): Effect[] =>
  state.application === undefined ? [] : tell(state, { type: 'application', state: state.application });

const reachability = ({ deadlines }: State, reachable: boolean): Effect =>
  reachable ? stop('unreachable') : start('unreachable', deadlines.unreachable);

const change = (state: State, asked: WantedMedia): Step => {
  const media = { ...state.media, ...asked };
  if (state.phase === 'opening') return [{ ...state, media, wanted: { ...state.wanted, ...asked } }, []];
  return [{ ...state, media }, [{ type: 'change', media: asked }]];
};

/** There is no call, because its worker is gone or took none: whoever can follow gets another one. */
const lose = (state: State): Step => {
  if (!state.fresh) return end(state, 'worker_lost');
  const connection = state.connection + 1;
  const next: State = {
    ...state,
    phase: 'opening',
    connection,
    outstanding: undefined,
    tracks: undefined,
    rehoming: true,
    retryMs: Math.min(Math.max(state.retryMs * 2, FIRST_RETRY_MS), LAST_RETRY_MS),
  };
  return [
    next,
    [
      stop('answer'),
      stop('unreachable'),
      { type: 'close_call' },
      ...(state.phase === 'live' && state.attached ? [start('connect', state.deadlines.connect)] : []),
      ...(state.rehoming ? [] : [start('rehome', state.deadlines.rehome)]),
      state.retryMs === 0 ? { type: 'open_call', connection } : start('retry', state.retryMs),
    ],
  ];
};

/** Media goes on; who waits for the client waits until it is back. */
const clientLost = (state: State): Step => {
  if (!state.attached) return [state, []];
  const away = { ...state, attached: false };
  // It was never given a ticket to come back with.
  if (!state.offered) return end(away, 'client_lost');
  return [away, [stop('answer'), stop('connect'), start('grace', state.deadlines.grace)]];
};

const clientBack = (state: State, fresh: boolean): Step => {
  const { phase, deadlines, outstanding, tracks } = state;
  const back = { ...state, attached: true, fresh };
  const resumed: Effect[] = [stop('grace'), { type: 'send_resumed' }, ...tellApplication(back)];
  const moved = phase === 'opening' || outstanding?.fresh === true;
  if (moved && !fresh) {
    const [ending, effects] = end(back, 'worker_lost');
    return [ending, [...resumed, ...effects]];
  }
  const known: Effect[] = tracks ? [{ type: 'send', message: { type: 'tracks', tracks } }] : [];
  const unanswered = outstanding ? tellOffer(outstanding, tracks, outstanding.fresh) : known;
  const connection = phase === 'live' ? tell(back, { type: 'live' }) : [start('connect', deadlines.connect)];
  return [back, [...resumed, ...unanswered, ...connection]];
};

const timeout = (state: State, timer: TimerName, remainingMs: number): Step => {
  switch (timer) {
    case 'answer':
      return end(state, 'answer_timeout');
    case 'connect':
      return end(state, 'connect_timeout');
    case 'unreachable':
    case 'grace':
      return end(state, 'client_lost');
    case 'rehome':
      return end(state, 'worker_lost');
    case 'retry':
      return [state, [{ type: 'open_call', connection: state.connection }]];
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
  // The first frame is the offer, and it says how much is left.
  const due = state.offered ? tell(state, { type: 'expiring', expires_in_ms: left }) : [];
  return [{ ...state, notices }, [...due, ...nextNotice(notices, remainingMs)]];
};

/** After the burn only a failed negotiation is told with an error of its own; whatever else fails is an end. */
const fail = (state: State, error: CallgateError): Step => {
  if (error.code !== 'negotiation_failed') return end(state, 'worker_lost');
  const { message } = error;
  const told = tell(state, { type: 'error', code: 'negotiation_failed', message, retryable: false });
  const [next, effects] = end(state, 'negotiation_failed');
  return [next, [...told, ...effects]];
};

const RUNNING_TIMERS = [
  'answer',
  'connect',
  'unreachable',
  'expiry',
  'notice',
  'grace',
  'rehome',
  'retry',
] as const satisfies TimerName[];

const end = (state: State, reason: EndReason): Step => [
  { ...state, phase: 'ending', reason, outstanding: undefined },
  [
    ...RUNNING_TIMERS.map(stop),
    { type: 'close_call' },
    { type: 'settle', reason },
    start('settle', state.deadlines.settle),
  ],
];

/** Another node holds the session: its end is not ours to tell or to store, and the client may come to that node. */
const leave = (state: State): Step => [
  { ...state, phase: 'ended', outstanding: undefined },
  [
    ...RUNNING_TIMERS.map(stop),
    stop('settle'),
    { type: 'close_call' },
    ...(state.attached ? [{ type: 'close_client', code: SERVICE_RESTART } as const] : []),
    { type: 'left' },
  ],
];

/** The last frame follows the stored end and the freed place, or the settle deadline, whichever comes first. */
const stepEnding = (state: State, event: Event): Step => {
  const reason = state.reason ?? 'completed';
  if (event.type === 'client_lost') return [{ ...state, attached: false }, []];
  if (event.type !== 'settled' && !(event.type === 'timeout' && event.timer === 'settle')) return [state, []];
  const code = reason === 'negotiation_failed' ? new CallgateError(reason).closeCode : NORMAL_CLOSURE;
  const farewell: Effect[] = state.attached ? [{ type: 'close_client', code }] : [];
  return [
    { ...state, phase: 'ended' },
    [stop('settle'), ...tell(state, { type: 'ended', reason }), ...farewell, { type: 'done', reason }],
  ];
};

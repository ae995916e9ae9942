import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { END_REASONS } from '../../src/protocol/codes.ts';
import { type Beginning, initial, step } from '../../src/session/machine.ts';
import type { Effect, Event, State, TimerName } from '../../src/session/state.ts';

const deadlines = {
  answer: 10_000,
  connect: 25_000,
  reoffer: 9000,
  grace: 30_000,
  rehome: 10_000,
  unreachable: 30_000,
  settle: 1000,
};
const started = { media: {}, fresh: false, adopted: false };
const offer = (id: string, tracks = false) => ({ id, sdp: 'v=0', sections: 1, ...(tracks && { tracks: [] }) });

/** Runs events from the beginning and returns the last state with all effects, a list per event. */
const run = (...events: Event[]) => runFrom(started, ...events);
/** A client that can follow an offer on a new connection. */
const runFresh = (...events: Event[]) => runFrom({ ...started, fresh: true }, ...events);

function runFrom(beginning: Beginning, ...events: Event[]): { state: State; effects: Effect[][] } {
  let state = initial(deadlines, beginning);
  const effects = events.map((event) => {
    const [next, made] = step(state, event);
    state = next;
    return [...made];
  });
  return { state, effects };
}

const begin: Event = { type: 'begin', remainingMs: 120_000 };
const offered = (id: string, { tracks = false, connection = 0 } = {}): Event => ({
  type: 'offer',
  connection,
  offer: offer(id, tracks),
});
const opened = offered('1');
const answer: Event = { type: 'answer', offerId: '1', sdp: 'v=0' };
const connected: Event = { type: 'connected', connection: 0 };
const lost: Event = { type: 'client_lost' };
const back: Event = { type: 'client_back', fresh: true };
const workerLost = (connection = 0): Event => ({ type: 'call_lost', connection });
const settled: Event = { type: 'settled' };
const types = (effects: Effect[] | undefined) => effects?.map(({ type }) => type);

describe('a session', () => {
  it('opens its call and counts to its expiry from the burn', () => {
    const { effects } = run(begin);
    expect(effects[0]).toEqual([
      { type: 'start_timer', timer: 'expiry', ms: 120_000 },
      { type: 'start_timer', timer: 'connect', ms: 25_000 },
      { type: 'start_timer', timer: 'notice', ms: 60_000 },
      { type: 'open_call', connection: 0 },
    ]);
  });

  it('sends the first offer before the tracks, and later tracks before their offer', () => {
    const { effects } = run(begin, offered('1', { tracks: true }), offered('2', { tracks: true }));
    expect(types(effects[1])).toEqual(['send_offer', 'send', 'start_timer']);
    expect(types(effects[2])).toEqual(['send', 'send_offer', 'start_timer']);
  });

  it('drops an answer to an older offer without looking at it', () => {
    const { effects } = run(begin, opened, offered('2'), answer);
    expect(effects[3]).toEqual([]);
  });

  it('takes the first answer to an offer alone', () => {
    const { effects } = run(begin, opened, answer, answer);
    expect(types(effects[2])).toEqual(['stop_timer', 'accept']);
    expect(effects[3]).toEqual([]);
  });

  it('is live once, and then no longer waits to be connected', () => {
    const { state, effects } = run(begin, opened, answer, connected, connected);
    expect(state.phase).toBe('live');
    expect(effects[3]).toEqual([
      { type: 'stop_timer', timer: 'connect' },
      { type: 'connected' },
      { type: 'send', message: { type: 'live' } },
    ]);
    expect(effects[4]).toEqual([]);
  });

  it.each<[TimerName, string]>([
    ['answer', 'answer_timeout'],
    ['connect', 'connect_timeout'],
    ['unreachable', 'client_lost'],
    ['expiry', 'expired'],
  ])('ends when the %s timer fires', (timer, reason) => {
    const { state } = run(begin, opened, { type: 'timeout', timer, remainingMs: 0 });
    expect(state).toMatchObject({ phase: 'ending', reason });
  });

  it('announces its end 60 s and 10 s before', () => {
    const { effects } = run(
      begin,
      opened,
      { type: 'timeout', timer: 'notice', remainingMs: 60_000 },
      { type: 'timeout', timer: 'notice', remainingMs: 10_000 },
    );
    expect(effects[2]).toEqual([
      { type: 'send', message: { type: 'expiring', expires_in_ms: 60_000 } },
      { type: 'start_timer', timer: 'notice', ms: 50_000 },
    ]);
    expect(effects[3]).toEqual([{ type: 'send', message: { type: 'expiring', expires_in_ms: 10_000 } }]);
  });

  it('announces nothing before the offer, which is the first frame', () => {
    const { effects } = run(begin, { type: 'timeout', timer: 'notice', remainingMs: 60_000 }, opened);
    expect(effects[1]).toEqual([{ type: 'start_timer', timer: 'notice', ms: 50_000 }]);
    expect(types(effects[2])?.[0]).toBe('send_offer');
  });

  it('does not announce what is already past when it begins', () => {
    const { effects } = run({ type: 'begin', remainingMs: 9000 });
    expect(effects[0]?.some((effect) => effect.type === 'start_timer' && effect.timer === 'notice')).toBe(false);
  });

  it('tells the end only after it is stored', () => {
    const { effects } = run(begin, opened, { type: 'hangup' }, settled);
    expect(types(effects[2])).not.toContain('send');
    expect(effects[3]).toEqual([
      { type: 'stop_timer', timer: 'settle' },
      { type: 'send', message: { type: 'ended', reason: 'completed' } },
      { type: 'close_client', code: 1000 },
      { type: 'done', reason: 'completed' },
    ]);
  });

  it('tells the end at the settle deadline when storing takes longer', () => {
    const { state, effects } = run(
      begin,
      opened,
      { type: 'hangup' },
      { type: 'timeout', timer: 'settle', remainingMs: 0 },
    );
    expect(state.phase).toBe('ended');
    expect(types(effects[3])).toContain('close_client');
  });

  it('tells a failed negotiation as an error, then as the end, and closes with its code', () => {
    const error = new CallgateError('negotiation_failed', { message: 'wrong' });
    const { effects } = run(begin, opened, { type: 'refused', error }, settled);
    expect(effects[2]?.[0]).toEqual({
      type: 'send',
      message: { type: 'error', code: 'negotiation_failed', message: 'wrong', retryable: false },
    });
    expect(effects[3]).toContainEqual({ type: 'send', message: { type: 'ended', reason: 'negotiation_failed' } });
    expect(effects[3]).toContainEqual({ type: 'close_client', code: 4422 });
  });

  it('says nothing to a client that is gone', () => {
    const { effects } = run(begin, opened, lost, { type: 'stop', reason: 'revoked' }, settled);
    expect(types(effects.flat())).not.toContain('close_client');
    expect(effects[4]).toEqual([
      { type: 'stop_timer', timer: 'settle' },
      { type: 'done', reason: 'revoked' },
    ]);
  });

  it('keeps the first reason', () => {
    const { state } = run(begin, opened, { type: 'stop', reason: 'revoked' }, { type: 'stop', reason: 'expired' });
    expect(state.reason).toBe('revoked');
  });
});

describe('a session whose client is away', () => {
  it('waits for it as long as its grace lasts, and for nothing else of it', () => {
    const { effects } = run(begin, opened, lost);
    expect(effects[2]).toEqual([
      { type: 'stop_timer', timer: 'answer' },
      { type: 'stop_timer', timer: 'connect' },
      { type: 'start_timer', timer: 'grace', ms: 30_000 },
    ]);
    const { state } = run(begin, opened, lost, { type: 'timeout', timer: 'grace', remainingMs: 1 });
    expect(state).toMatchObject({ phase: 'ending', reason: 'client_lost' });
  });

  it('ends at once when the client was never given a ticket', () => {
    expect(run(begin, lost).state).toMatchObject({ phase: 'ending', reason: 'client_lost' });
  });

  it('says nothing meanwhile, and goes live without it', () => {
    const { state, effects } = run(begin, opened, answer, lost, connected, offered('2', { tracks: true }));
    expect(types(effects.slice(4).flat())).toEqual(['stop_timer', 'connected']);
    expect(state).toMatchObject({ phase: 'live', attached: false });
  });

  it('tells it when it is back: its session, the tracks, the offer that was not answered, and that it is live', () => {
    const second = offered('2', { tracks: true });
    const { effects } = run(begin, opened, answer, connected, second, lost, back);
    expect(effects[6]).toEqual([
      { type: 'stop_timer', timer: 'grace' },
      { type: 'send_resumed' },
      { type: 'send', message: { type: 'tracks', tracks: [] } },
      { type: 'send_offer', outstanding: { offer: offer('2', true), fresh: false, ms: 9000 } },
      { type: 'start_timer', timer: 'answer', ms: 9000 },
      { type: 'send', message: { type: 'live' } },
    ]);
  });

  it('does not repeat an offer that was answered, and gives it its time to connect anew', () => {
    const { effects } = run(begin, opened, answer, lost, back);
    expect(effects[4]).toEqual([
      { type: 'stop_timer', timer: 'grace' },
      { type: 'send_resumed' },
      { type: 'start_timer', timer: 'connect', ms: 25_000 },
    ]);
  });
});

describe('a session whose worker is lost', () => {
  it('ends when the client cannot follow', () => {
    expect(run(begin, opened, answer, connected, workerLost()).state).toMatchObject({ reason: 'worker_lost' });
  });

  it('opens another call at once, offers it fresh, and tells the tracks after that', () => {
    const { state, effects } = runFresh(
      begin,
      opened,
      answer,
      connected,
      workerLost(),
      offered('2', { connection: 1, tracks: true }),
    );
    expect(effects[4]).toContainEqual({ type: 'open_call', connection: 1 });
    expect(effects[5]).toEqual([
      { type: 'stop_timer', timer: 'rehome' },
      { type: 'rehomed' },
      { type: 'send_offer', outstanding: { offer: offer('2', true), fresh: true, ms: 10_000 } },
      { type: 'send', message: { type: 'tracks', tracks: [] } },
      { type: 'start_timer', timer: 'answer', ms: 10_000 },
    ]);
    expect(state.phase).toBe('negotiating');
  });

  it('is live again when the new call is', () => {
    const { state, effects } = runFresh(
      begin,
      opened,
      answer,
      connected,
      workerLost(),
      offered('2', { connection: 1 }),
      {
        type: 'connected',
        connection: 1,
      },
    );
    expect(state.phase).toBe('live');
    expect(effects[6]).toContainEqual({ type: 'send', message: { type: 'live' } });
  });

  it('drops whatever the lost call still says', () => {
    const { effects } = runFresh(begin, opened, workerLost(), opened, connected, workerLost(), {
      type: 'call_ended',
      connection: 0,
      reason: 'completed',
    });
    expect(effects.slice(3).flat()).toEqual([]);
  });

  it('waits a little longer before each further try, and gives up in the end', () => {
    const failed = (connection: number): Event => ({
      type: 'open_failed',
      connection,
      error: new CallgateError('at_capacity'),
    });
    const { effects } = runFresh(begin, opened, workerLost(), failed(1), failed(2), failed(3), failed(4));
    expect(effects.slice(3).map((made) => made.at(-1))).toEqual(
      [20, 40, 80, 100].map((ms) => ({ type: 'start_timer', timer: 'retry', ms })),
    );
    const { state } = runFresh(begin, opened, workerLost(), { type: 'timeout', timer: 'rehome', remainingMs: 1 });
    expect(state).toMatchObject({ phase: 'ending', reason: 'worker_lost' });
  });

  it('offers fresh after the client came back, and the tracks after that', () => {
    const { effects } = runFresh(
      begin,
      opened,
      answer,
      lost,
      workerLost(),
      offered('2', { connection: 1, tracks: true }),
      back,
    );
    expect(types(effects[6])).toEqual([
      'stop_timer',
      'send_resumed',
      'send_offer',
      'send',
      'start_timer',
      'start_timer',
    ]);
  });

  it('ends when the one who comes back cannot follow', () => {
    const { state } = runFresh(begin, opened, answer, lost, workerLost(), { type: 'client_back', fresh: false });
    expect(state).toMatchObject({ phase: 'ending', reason: 'worker_lost' });
  });

  it('applies what the client asked for meanwhile to the new call', () => {
    const { state, effects } = runFresh(
      begin,
      opened,
      workerLost(),
      { type: 'change', media: { video: 'none' } },
      offered('2', { connection: 1 }),
    );
    expect(effects[4]).toContainEqual({ type: 'change', media: { video: 'none' } });
    expect(state.media).toEqual({ video: 'none' });
  });
});

describe('a session that was adopted', () => {
  it('is told to its client before anything else, and offered fresh', () => {
    const { effects } = runFrom({ media: {}, fresh: true, adopted: true }, begin, opened);
    expect(effects[0]?.[0]).toEqual({ type: 'send_resumed' });
    expect(effects[1]).toContainEqual({
      type: 'send_offer',
      outstanding: { offer: offer('1'), fresh: true, ms: 10_000 },
    });
  });
});

it('a session that another node holds by now is left without an end', () => {
  const { state, effects } = run(begin, opened, answer, connected, { type: 'moved' });
  expect(state).toMatchObject({ phase: 'ended', reason: undefined });
  expect(types(effects[4])?.filter((type) => type !== 'stop_timer')).toEqual(['close_call', 'close_client', 'left']);
  expect(effects[4]).toContainEqual({ type: 'close_client', code: 1012 });
});

const ids = fc.constantFrom('1', '2', '3');
const connections = fc.constantFrom(0, 1, 2);
const timers = fc.constantFrom<TimerName>(
  'answer',
  'connect',
  'unreachable',
  'expiry',
  'notice',
  'grace',
  'rehome',
  'retry',
  'settle',
);
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ type: fc.constant('offer' as const), connection: connections, offer: ids.map((id) => offer(id, true)) }),
  ids.map((offerId): Event => ({ type: 'answer', offerId, sdp: '' })),
  connections.chain((connection) =>
    fc.constantFrom<Event>(
      { type: 'connected', connection },
      { type: 'reachable', connection, reachable: false },
      { type: 'reachable', connection, reachable: true },
      { type: 'not_accepted', connection, error: new CallgateError('negotiation_failed') },
      { type: 'open_failed', connection, error: new CallgateError('unavailable') },
      { type: 'call_lost', connection },
      { type: 'call_ended', connection, reason: 'completed' },
    ),
  ),
  fc.constantFrom<Event>(
    opened,
    settled,
    { type: 'change', media: {} },
    { type: 'restart' },
    { type: 'hangup' },
    lost,
    back,
    { type: 'client_back', fresh: false },
    { type: 'refused', error: new CallgateError('negotiation_failed') },
  ),
  timers.map((timer): Event => ({ type: 'timeout', timer, remainingMs: 5000 })),
  fc.constantFrom(...END_REASONS).map((reason): Event => ({ type: 'stop', reason })),
);

/** What a session holds, as its effects open and close it; a timer that fires is gone by itself. */
function replay(events: readonly Event[], fresh: boolean) {
  const held = { timers: new Set<TimerName>(), call: false };
  const counts = { settle: 0, done: 0, ended: 0, closes: 0 };
  let state = initial(deadlines, { ...started, fresh });
  const apply = (event: Event) => {
    if (event.type === 'timeout' && !held.timers.delete(event.timer)) return;
    const [next, effects] = step(state, event);
    state = next;
    for (const effect of effects) {
      if (effect.type === 'start_timer') held.timers.add(effect.timer);
      if (effect.type === 'stop_timer') held.timers.delete(effect.timer);
      if (effect.type === 'open_call') {
        expect(held.call).toBe(false);
        held.call = true;
      }
      if (effect.type === 'close_call') held.call = false;
      if (effect.type === 'settle') counts.settle += 1;
      if (effect.type === 'done') counts.done += 1;
      if (effect.type === 'close_client') counts.closes += 1;
      if (effect.type === 'send' && effect.message.type === 'ended') counts.ended += 1;
    }
  };
  apply(begin);
  for (const event of events) apply(event);
  return { held, counts, apply, phase: () => state.phase, reason: () => state.reason };
}

describe('a session under any order of events', () => {
  it('ends exactly once and closes everything that it opened', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), fc.boolean(), (events, fresh) => {
        const session = replay(events, fresh);
        session.apply({ type: 'stop', reason: 'server_shutdown' });
        const { reason } = session;
        const first = reason();
        session.apply(settled);
        session.apply({ type: 'stop', reason: 'revoked' });
        session.apply(settled);
        expect(session.phase()).toBe('ended');
        expect(session.held).toEqual({ timers: new Set(), call: false });
        expect(session.counts).toMatchObject({ settle: 1, done: 1 });
        expect(session.counts.ended).toBeLessThanOrEqual(1);
        expect(session.counts.closes).toBe(session.counts.ended);
        expect(reason()).toBe(first);
      }),
      { numRuns: 2000 },
    );
  });

  it('holds nothing once another node has it', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), fc.boolean(), (events, fresh) => {
        const session = replay(events, fresh);
        session.apply({ type: 'moved' });
        expect(session.phase()).toBe('ended');
        expect(session.held).toEqual({ timers: new Set(), call: false });
      }),
    );
  });

  it('always has a deadline until it has ended', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), fc.boolean(), (events, fresh) => {
        const session = replay(events, fresh);
        const deadline = session.phase() === 'ending' ? 'settle' : 'expiry';
        if (session.phase() !== 'ended') expect(session.held.timers.has(deadline)).toBe(true);
        else expect(session.held.timers.size).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('an application that answers', () => {
  const state = (now: 'connecting' | 'connected' | 'reconnecting'): Event => ({ type: 'application', state: now });
  const told = (effects: Effect[] | undefined) =>
    effects?.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []));

  it('is told of after the first offer, and then when it changes', () => {
    const { effects } = run(begin, state('connecting'), state('connected'), opened, state('reconnecting'));
    expect(effects.slice(1, 3)).toEqual([[], []]);
    expect(types(effects[3])).toEqual(['send_offer', 'start_timer', 'send']);
    expect(told(effects[3])).toEqual([{ type: 'application', state: 'connected' }]);
    expect(told(effects[4])).toEqual([{ type: 'application', state: 'reconnecting' }]);
  });

  it('is told of right after each resume', () => {
    const { effects } = run(begin, opened, answer, connected, lost, state('connected'), back);
    expect(effects[5]).toEqual([]);
    expect(types(effects[6])!.slice(0, 3)).toEqual(['stop_timer', 'send_resumed', 'send']);
    expect(told(effects[6])![0]).toEqual({ type: 'application', state: 'connected' });
  });

  it('says nothing to a client before its first offer', () => {
    const said: Event = { type: 'said', content: 'hello' };
    const { effects } = run(begin, said, opened, said);
    expect(effects[1]).toEqual([]);
    expect(told(effects[3])).toEqual([{ type: 'message', content: 'hello' }]);
  });
});

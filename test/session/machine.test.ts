import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { END_REASONS } from '../../src/protocol/codes.ts';
import { type Effect, type Event, initial, type State, step, type TimerName } from '../../src/session/machine.ts';

const deadlines = {
  answer: 10_000,
  connect: 25_000,
  reoffer: 10_000,
  grace: 30_000,
  unreachable: 30_000,
  settle: 1000,
};
const offer = (id: string, tracks = false) => ({ id, sdp: 'v=0', sections: 1, ...(tracks && { tracks: [] }) });

/** Runs events from the beginning and returns the last state with all effects, a list per event. */
function run(...events: Event[]): { state: State; effects: Effect[][] } {
  let state = initial(deadlines);
  const effects = events.map((event) => {
    const [next, made] = step(state, event);
    state = next;
    return [...made];
  });
  return { state, effects };
}

const begin: Event = { type: 'begin', remainingMs: 120_000 };
const opened: Event = { type: 'offer', offer: offer('1') };
const answer: Event = { type: 'answer', offerId: '1', sdp: 'v=0' };
const accepted: Event = { type: 'accepted', offerId: '1' };
const connected: Event = { type: 'connected' };
const settled: Event = { type: 'settled' };
const types = (effects: Effect[] | undefined) => effects?.map(({ type }) => type);

describe('a session', () => {
  it('opens its call and counts to its expiry from the burn', () => {
    const { effects } = run(begin);
    expect(effects[0]).toEqual([
      { type: 'start_timer', timer: 'expiry', ms: 120_000 },
      { type: 'start_timer', timer: 'connect', ms: 25_000 },
      { type: 'start_timer', timer: 'notice', ms: 60_000 },
      { type: 'open_call' },
    ]);
  });

  it('sends the first offer before the tracks, and later tracks before their offer', () => {
    const later: Event = { type: 'offer', offer: offer('2', true) };
    const { effects } = run(begin, { type: 'offer', offer: offer('1', true) }, later);
    expect(types(effects[1])).toEqual(['send_offer', 'send', 'start_timer']);
    expect(types(effects[2])).toEqual(['send', 'send_offer', 'start_timer']);
  });

  it('drops an answer to an older offer without looking at it', () => {
    const { effects } = run(begin, opened, { type: 'offer', offer: offer('2') }, answer);
    expect(effects[3]).toEqual([]);
  });

  it('keeps the deadline of a newer offer when an older answer is accepted late', () => {
    const { effects } = run(begin, opened, answer, { type: 'offer', offer: offer('2') }, accepted);
    expect(effects[4]).toEqual([]);
  });

  it('is live once, and then no longer waits to be connected', () => {
    const { state, effects } = run(begin, opened, answer, accepted, connected, connected);
    expect(state.phase).toBe('live');
    expect(effects[4]).toEqual([
      { type: 'stop_timer', timer: 'connect' },
      { type: 'send', message: { type: 'live' } },
    ]);
    expect(effects[5]).toEqual([]);
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
    const { effects } = run(begin, opened, { type: 'client_lost' }, settled);
    expect(types(effects.flat())).not.toContain('close_client');
    expect(effects[3]).toEqual([
      { type: 'stop_timer', timer: 'settle' },
      { type: 'done', reason: 'client_lost' },
    ]);
  });

  it('keeps the first reason', () => {
    const { state } = run(begin, opened, { type: 'stop', reason: 'revoked' }, { type: 'stop', reason: 'expired' });
    expect(state.reason).toBe('revoked');
  });
});

const ids = fc.constantFrom('1', '2', '3');
const timers = fc.constantFrom<TimerName>('answer', 'connect', 'unreachable', 'expiry', 'notice', 'settle');
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  ids.map((id): Event => ({ type: 'offer', offer: offer(id, true) })),
  ids.map((offerId): Event => ({ type: 'answer', offerId, sdp: '' })),
  ids.map((offerId): Event => ({ type: 'accepted', offerId })),
  fc.constantFrom<Event>(
    opened,
    connected,
    settled,
    { type: 'reachable', reachable: false },
    { type: 'reachable', reachable: true },
    { type: 'change', media: {} },
    { type: 'restart' },
    { type: 'hangup' },
    { type: 'client_lost' },
    { type: 'refused', error: new CallgateError('negotiation_failed') },
    { type: 'open_failed', error: new CallgateError('unavailable') },
  ),
  timers.map((timer): Event => ({ type: 'timeout', timer, remainingMs: 5000 })),
  fc.constantFrom(...END_REASONS).map((reason): Event => ({ type: 'stop', reason })),
);

/** What a session holds, as its effects open and close it; a timer that fires is gone by itself. */
function replay(events: readonly Event[]) {
  const held = { timers: new Set<TimerName>(), call: false };
  const counts = { settle: 0, done: 0, ended: 0, closes: 0 };
  let state = initial(deadlines);
  const apply = (event: Event) => {
    if (event.type === 'timeout' && !held.timers.delete(event.timer)) return;
    const [next, effects] = step(state, event);
    state = next;
    for (const effect of effects) {
      if (effect.type === 'start_timer') held.timers.add(effect.timer);
      if (effect.type === 'stop_timer') held.timers.delete(effect.timer);
      if (effect.type === 'open_call') held.call = true;
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
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        const session = replay(events);
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

  it('always has a deadline until it has ended', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        const session = replay(events);
        const deadline = session.phase() === 'ending' ? 'settle' : 'expiry';
        if (session.phase() !== 'ended') expect(session.held.timers.has(deadline)).toBe(true);
        else expect(session.held.timers.size).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });
});

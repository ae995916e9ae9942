import { describe, expect, it } from 'vitest';
import type { Arrival } from '../../src/load/plan.ts';
import { planLoad } from '../../src/load/plan-load.ts';
import { passMs, planReplay } from '../../src/load/plan-replay.ts';
import { seededRandom } from '../../src/load/random.ts';
import { MAX_SESSIONS, type Schedule, shareOf, threadsFor } from '../../src/load/schedule.ts';
import { UsageError } from '../../src/load/usage-error.ts';

const arrival = (given: Partial<Arrival> = {}): Arrival => ({
  atMs: 0,
  endpointId: 'ep_echo',
  media: 'audio',
  durationMs: 1000,
  ending: 'hangup',
  ...given,
});

describe('a load', () => {
  it('arrives at a steady rate, the first session at once', () => {
    const session = { endpointId: 'ep_a', media: 'none', durationMs: 5000, ending: 'expiry' } as const;
    expect(planLoad({ sessions: 3, rate: 4, ...session })).toEqual([
      { atMs: 0, ...session },
      { atMs: 250, ...session },
      { atMs: 500, ...session },
    ]);
  });
});

describe('a load that takes longer than a timer can wait', () => {
  it('is refused', () => {
    const session = { endpointId: 'ep_a', media: 'none', durationMs: 5000, ending: 'hangup' } as const;
    expect(() => planLoad({ sessions: 10_000, rate: 0.001, ...session })).toThrow(UsageError);
  });
});

describe('a replay', () => {
  const recorded = [arrival(), arrival({ atMs: 4000, endpointId: 'ep_b', media: 'none', durationMs: 2500 })];

  it.each([
    ['begins', { atMs: 2 ** 31 }],
    ['lasts', { durationMs: 2 ** 31 }],
  ])('is refused when a session %s longer than a timer can wait', (_, late) => {
    expect(() => planReplay([arrival(late)], { speed: 1 })).toThrow(/24\.8 days/);
    expect(() => planReplay([arrival()], { speed: 1e-10 })).toThrow(UsageError);
    expect(planReplay([arrival(late)], { speed: 2 })).toHaveLength(1);
  });

  it('keeps what was recorded', () => {
    expect(planReplay(recorded, { speed: 1 })).toEqual(recorded);
  });

  it('shrinks arrivals and durations alike', () => {
    const [, second] = planReplay(recorded, { speed: 10 });
    expect(second).toEqual({ ...recorded[1], atMs: 400, durationMs: 250 });
  });

  it.each(['silence', 'unconnected'] as const)(
    'leaves an end by %s to the server where its time is not cut short',
    (ending) => {
      const ends = (speed: number) => planReplay([arrival({ durationMs: 2000, ending })], { speed })[0]?.durationMs;
      expect([ends(0.5), ends(1), ends(4)]).toEqual([5000, 3000, 500]);
    },
  );

  it('takes another endpoint and other media instead', () => {
    const changed = planReplay(recorded, { speed: 1, endpointId: 'ep_c', media: 'audio+video' });
    expect(changed.map(({ endpointId, media }) => [endpointId, media])).toEqual(Array(2).fill(['ep_c', 'audio+video']));
  });

  it.each([
    ['whole seconds expire', 20_000, 10, { durationMs: 2000, ending: 'expiry' }],
    ['a little more than whole seconds too', 20_040, 10, { durationMs: 2000, ending: 'expiry' }],
    ['half seconds are hung up, so that they last as long', 15_000, 10, { durationMs: 1500, ending: 'hangup' }],
    ['and less than a second', 4000, 10, { durationMs: 400, ending: 'hangup' }],
  ] as const)('%s', (_, durationMs, speed, expected) => {
    expect(planReplay([arrival({ durationMs, ending: 'expiry' })], { speed })[0]).toMatchObject(expected);
  });

  it.each([
    ['to the last arrival and a usual pause more', [0, 2000, 4000], 6000],
    ['at least a second', [0], 1000],
  ])('one pass of a loop takes %s', (_, times, expected) => {
    expect(passMs(times.map((atMs) => arrival({ atMs })))).toBe(expected);
  });
});

describe('a schedule', () => {
  const arrivals = [arrival({ atMs: 0 }), arrival({ atMs: 300 }), arrival({ atMs: 600 })];
  const times = (schedule: Schedule, thread = 0, threads = 1) =>
    [...shareOf(schedule, thread, threads)].map(([index, { atMs }]) => [index, atMs]);

  it('is dealt out to the threads in turn', () => {
    expect(times({ arrivals }, 0, 2)).toEqual([
      [0, 0],
      [2, 600],
    ]);
    expect(times({ arrivals }, 1, 2)).toEqual([[1, 300]]);
  });

  it('begins again until its time is over', () => {
    expect(times({ arrivals, loop: { everyMs: 1000, untilMs: 1600 } })).toEqual([
      [0, 0],
      [1, 300],
      [2, 600],
      [3, 1000],
      [4, 1300],
    ]);
  });

  it('ends at the most sessions of a run, even when it would loop for ever', () => {
    const loop = { everyMs: 1000, untilMs: Number.POSITIVE_INFINITY };
    let last = -1;
    for (const [index] of shareOf({ arrivals, loop }, 0, 1)) last = index;
    expect(last).toBe(MAX_SESSIONS - 1);
  });
});

describe('threads', () => {
  const load = (media: Arrival['media'], rate: number, durationMs: number) =>
    planLoad({ sessions: rate * 60, rate, endpointId: 'ep_a', media, durationMs, ending: 'hangup' });

  it.each([
    ['signaling alone', load('none', 500, 10_000), 8, 1],
    ['little audio', load('audio', 1, 10_000), 8, 1],
    ['more audio', load('audio', 20, 10_000), 8, 2],
    ['video', load('audio+video', 20, 10_000), 8, 4],
    ['more than the machine has', load('audio+video', 20, 10_000), 2, 2],
    ['nothing', [], 8, 1],
  ])('are as many as it takes: %s', (_, arrivals, cores, expected) => {
    expect(threadsFor({ arrivals }, cores)).toBe(expected);
  });

  it.each([
    ['in a pass that is over before the next', 10_000, 600_000, 1],
    ['where passes overlap', 600_000, 1000, 4],
  ])('are as many as a loop takes %s', (_, durationMs, everyMs, expected) => {
    const loop = { everyMs, untilMs: Number.POSITIVE_INFINITY };
    expect(threadsFor({ arrivals: [arrival({ durationMs })], loop }, 8)).toBe(expected);
  });
});

describe('chance', () => {
  const draw = (seed: number, index: number) => {
    const random = seededRandom(seed, index);
    return Array.from({ length: 100 }, random);
  };

  it('is the same for a seed and a session, and for no other', () => {
    expect(draw(1, 2)).toEqual(draw(1, 2));
    expect(draw(1, 2)).not.toEqual(draw(1, 3));
    expect(draw(1, 2)).not.toEqual(draw(2, 2));
  });

  it('is spread evenly over the sessions', () => {
    const firsts = Array.from({ length: 10_000 }, (_, index) => draw(7, index)[0]!);
    const mean = firsts.reduce((sum, value) => sum + value, 0) / firsts.length;
    expect(Math.min(...firsts)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...firsts)).toBeLessThan(1);
    expect(mean).toBeCloseTo(0.5, 1);
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import { Dialer } from '../../src/application/dialer.ts';
import { FakeClock } from '../support/fake-clock.ts';

let clock: FakeClock;
let told: string[];
/** When tries were made, in milliseconds since the beginning. */
let tries: number[];
let dialer: Dialer;

beforeEach(() => {
  clock = new FakeClock();
  told = [];
  tries = [];
  const began = clock.now();
  dialer = new Dialer({
    clock,
    connectMs: 10_000,
    reconnectMs: 15_000,
    dial: () => tries.push(Math.round(clock.now() - began)),
    listener: {
      state: (state) => told.push(state),
      ended: (reason) => told.push(`ended ${reason}`),
      failing: (why) => told.push(`failing ${why}`),
    },
  });
  dialer.begin();
});

/** Every try fails at once, for so long. */
const failFor = (ms: number): void => {
  const until = clock.now() + ms;
  for (let seen = tries.length - 1; clock.now() < until; clock.advance(1)) {
    if (tries.length <= seen) continue;
    seen = tries.length;
    dialer.failed('busy');
  }
};

describe('an application is dialled', () => {
  it('again and again, after pauses that double up to four seconds, for as long as it may take', () => {
    failFor(12_000);
    const pauses = tries.slice(1).map((at, i) => Math.round((at - tries[i]!) / 10) * 10);
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000]);
    expect(told).toEqual(['connecting', 'failing busy', 'ended application_unavailable']);
  });

  it('once, when it refuses', () => {
    dialer.failed('403', true);
    clock.advance(20_000);
    expect([tries.length, told]).toEqual([1, ['connecting', 'failing 403', 'ended application_unavailable']]);
  });

  it('anew when a connection breaks, with all its time', () => {
    dialer.connected();
    clock.advance(6000);
    dialer.failed('1006');
    expect(told.slice(1)).toEqual(['connected', 'failing 1006', 'reconnecting']);
    clock.advance(251);
    expect(tries).toHaveLength(2);
    dialer.connected();
    expect(told.at(-1)).toBe('connected');
    failFor(16_000);
    expect(told.at(-1)).toBe('ended application_lost');
  });

  it('no longer when each connection breaks as soon as it is there', () => {
    dialer.connected();
    for (let ms = 0; ms < 20_000 && !dialer.over; ms++) {
      const before = tries.length;
      clock.advance(1);
      if (ms === 0) dialer.failed('rubbish');
      if (tries.length === before) continue;
      dialer.connected();
      dialer.failed('rubbish');
    }
    expect(told.at(-1)).toBe('ended application_lost');
    expect(tries.length).toBeLessThan(10);
  });

  it('no more once it has hung up, or the call is over', () => {
    dialer.connected();
    dialer.hungUp();
    dialer.failed('late');
    clock.advance(20_000);
    expect([tries.length, told]).toEqual([1, ['connecting', 'connected', 'ended completed']]);
    dialer.close();
    expect(told).toHaveLength(3);
  });
});

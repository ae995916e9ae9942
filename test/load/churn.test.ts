import { expect, it } from 'vitest';
import { killsOf } from '../../src/load/churn.ts';
import { Losses } from '../../src/load/losses.ts';
import { seededRandom } from '../../src/load/random.ts';

const NODE_A = 'n_aaaaaaaa.secret-1';
const NODE_B = 'n_bbbbbbbb.secret-2';

it('with a probability a socket is killed once or never, at some moment of its session', () => {
  const kills = Array.from({ length: 1000 }, (_, i) => killsOf({ probability: 0.3 }, seededRandom(1, i), 500, 1500));
  const times = kills.filter((each) => each.length > 0);
  expect(Math.max(...kills.map(({ length }) => length))).toBe(1);
  expect(times.length).toBeGreaterThan(250);
  expect(times.length).toBeLessThan(350);
  for (const [at = 0] of times) expect(at >= 500 && at < 1500).toBe(true);
  expect(killsOf({ probability: 1 }, Math.random, 500, 100)).toEqual([500]);
});

it('at a rate a socket is killed again and again', () => {
  const kills = killsOf({ perSecond: 2 }, seededRandom(1, 1), 0, 100_000);
  expect(kills.length).toBeGreaterThan(150);
  expect(kills.length).toBeLessThan(250);
  expect(kills).toEqual(kills.toSorted((a, b) => a - b));
  expect(kills.at(-1)).toBeLessThan(100_000);
});

it('a session that comes back with the ticket of another node was adopted', () => {
  let now = 0;
  const losses = new Losses(() => now);
  losses.lost(true);
  now = 10;
  losses.returned(NODE_A, NODE_A);
  now = 15;
  losses.live();
  losses.lost(false);
  now = 25;
  losses.returned(NODE_A, NODE_B);
  losses.freshOffer();
  now = 40;
  losses.live();
  expect(losses.all).toEqual([
    { killed: true, how: 'attached', backMs: 10, liveMs: 15 },
    { killed: false, how: 'adopted', backMs: 10, liveMs: 25 },
  ]);
  // The fresh offer was part of the adoption.
  expect(losses.rehomed).toBe(0);
});

it('a fresh offer of the same node is told as such, and one that did not come back with why', () => {
  let now = 0;
  const losses = new Losses(() => now);
  losses.freshOffer();
  now = 30;
  losses.live();
  losses.lost(false);
  expect(losses.all).toEqual([{ killed: false, how: 'interrupted' }]);
  losses.gone('session_gone');
  expect(losses.all).toEqual([{ killed: false, how: 'session_gone' }]);
  expect([losses.rehomed, losses.rehomedMs]).toEqual([1, [30]]);
});

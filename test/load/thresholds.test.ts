import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/load/outcome.ts';
import { tally } from '../../src/load/tally.ts';
import { failuresOf, parseThreshold } from '../../src/load/thresholds.ts';
import { outcome } from '../support/outcome.ts';

const report = (outcomes: readonly Outcome[], clientsPerToken = 1) =>
  tally(
    {
      command: 'load',
      startedAt: '2026-01-01T00:00:00.000Z',
      seconds: 1,
      urls: [],
      options: [],
      interrupted: false,
      planned: outcomes.length,
      clientsPerToken,
    },
    outcomes,
  );

const good = outcome({
  timings: { mint: 5, offer: 20, connected: 600, end: 3 },
  packets: { sent: 100, received: 95, lost: 5 },
});
const bad = outcome({ error: 'token_used' });

describe('a threshold', () => {
  it.each([
    ['connected.p95>500', ['connected.p95>500: it was 600']],
    ['connected.p95>600', []],
    ['connected.p95>=600', ['connected.p95>=600: it was 600']],
    [' offer.max < 21 ', ['offer.max < 21: it was 20']],
    ['offer.p50<=19.5', []],
    ['errors>0', ['errors>0: it was 1']],
    ['errors>1', []],
    ['errors.token_used>0', ['errors.token_used>0: it was 1']],
    ['errors.timeout>0', []],
    ['packets.lost_percent>4.9', ['packets.lost_percent>4.9: it was 5']],
    ['packets.lost_percent>5', []],
    ['sessions.failed_percent>49', ['sessions.failed_percent>49: it was 50']],
    ['first_packet.p99>1', ['first_packet.p99>1: nothing was measured']],
  ])('%s', (expression, expected) => {
    expect(failuresOf(report([good, bad]), [parseThreshold(expression)])).toEqual(expected);
  });

  it('about packets fails where there were none', () => {
    const threshold = parseThreshold('packets.lost_percent>50');
    expect(failuresOf(report([outcome({ timings: { offer: 1 } })]), [threshold])).toEqual([
      'packets.lost_percent>50: nothing was measured',
    ]);
  });

  it.each([
    'connected.p95',
    'connected>5',
    'connected.p42>5',
    'connected.p95=5',
    'connected.p95>-1',
    'connected.p95>x',
    'connected.p95.x>1',
    'errors.>0',
    'errors.a.b>0',
    'constructor.name>0',
    'packets.lost>1',
    '',
  ])('that means nothing is refused with what is allowed: %s', (expression) => {
    expect(() => parseThreshold(expression)).toThrow(/connected\.p95>500.*mint\|socket\|offer.*errors\.<code>/s);
  });
});

describe('a run fails without any threshold', () => {
  it.each([
    ['several winners', outcome({ timings: { offer: 1 }, winners: 2 }), ['1 of 1 races had several winners']],
    ['no winner', outcome({ timings: { offer: 1 }, winners: 0 }), ['1 of 1 races had no winner']],
    ['a race that could not be held', outcome({ timings: { offer: 1 } }), ['1 races could not be held']],
    [
      'a token that was taken again',
      outcome({ timings: { offer: 1 }, winners: 1, reuse: 'taken' }),
      ['1 of 1 tokens were taken again after their session'],
    ],
    [
      'a token that could not be presented again',
      outcome({ timings: { offer: 1 }, winners: 1, reuse: 'not_presented' }),
      ['1 tokens could not be presented again'],
    ],
    [
      'failures alone',
      outcome({ timings: { offer: 1 }, winners: 1, error: 'connect_timeout' }),
      ['every session failed'],
    ],
    ['no offer at all', outcome({ error: 'token_used', winners: 1 }), ['no session got an offer']],
  ])('after %s', (_, only, expected) => {
    expect(failuresOf(report([only], 3), [])).toEqual(expected);
  });

  it('and passes with single failures', () => {
    expect(failuresOf(report([good, bad]), [])).toEqual([]);
  });
});

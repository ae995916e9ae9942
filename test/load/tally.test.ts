import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/load/outcome.ts';
import { type Run, tally } from '../../src/load/tally.ts';
import { outcome } from '../support/outcome.ts';

const run: Run = {
  command: 'load',
  startedAt: '2026-01-01T00:00:00.000Z',
  seconds: 3,
  urls: ['http://127.0.0.1:8080'],
  options: ['--sessions 4'],
  interrupted: false,
  planned: 4,
  clientsPerToken: 1,
};

const ended = (scheduledMs: number, offer: number, endedMs: number, more: Partial<Outcome> = {}): Outcome =>
  outcome({ scheduledMs, timings: { mint: 1, offer }, endedMs, endReason: 'completed', ...more });

describe('a report', () => {
  it('counts how far the sessions got', () => {
    const outcomes = [
      ended(0, 10, 500, { timings: { mint: 2, offer: 10, connected: 20 } }),
      ended(0, 10, 500),
      outcome({ error: 'rate_limited' }),
    ];
    expect(tally(run, outcomes).sessions).toEqual({
      planned: 4,
      arrived: 3,
      offered: 2,
      connected: 1,
      ended: 2,
      failed: 1,
    });
  });

  it('keeps what it was told, and leaves the failures to others', () => {
    const { command, startedAt, seconds, urls, options, interrupted, failures } = tally(run, []);
    expect({ command, startedAt, seconds, urls, options, interrupted }).toEqual({
      command: run.command,
      startedAt: run.startedAt,
      seconds: 3,
      urls: run.urls,
      options: run.options,
      interrupted: false,
    });
    expect(failures).toEqual([]);
  });

  it('takes each percentile over the sessions that got to the stage', () => {
    const { timings } = tally(run, [ended(0, 10, 500), ended(0, 30, 500), outcome({ error: 'timeout' })]);
    expect(timings.offer).toMatchObject({ count: 2, p50: 10, max: 30 });
    expect(timings.connected).toMatchObject({ count: 0, max: 0 });
  });

  it('adds packets, and counts errors and reasons, the most frequent first', () => {
    const packets = { sent: 5, received: 4, lost: 1 };
    const outcomes = [
      outcome({ error: 'timeout', packets }),
      ended(0, 1, 2, { error: 'no_media', packets }),
      outcome({ error: 'no_media' }),
    ];
    const report = tally(run, outcomes);
    expect(report.packets).toEqual({ sent: 10, received: 8, lost: 2 });
    expect(Object.entries(report.errors)).toEqual([
      ['no_media', 2],
      ['timeout', 1],
    ]);
    expect(report.endReasons).toEqual({ completed: 1 });
  });

  it('tells of races, reuse and churn only where there were any', () => {
    expect(tally(run, [ended(0, 1, 2)])).not.toHaveProperty('race');
    expect(tally(run, [ended(0, 1, 2)])).not.toHaveProperty('reuse');
    expect(tally(run, [ended(0, 1, 2)])).not.toHaveProperty('churn');
    const outcomes = [
      outcome({ winners: 1, reuse: 'refused', losses: [{ killed: true, how: 'attached', backMs: 10 }] }),
      outcome({ winners: 0, losses: [{ killed: true, how: 'session_gone' }] }),
      outcome({ winners: 3, reuse: 'taken' }),
      // Its race never began; nor did this one, for it was not to.
      outcome({ error: 'unreachable', reuse: 'not_presented' }),
      outcome({ error: 'interrupted' }),
    ];
    expect(tally({ ...run, clientsPerToken: 5 }, outcomes)).toMatchObject({
      race: { contenders: 5, oneWinner: 1, noWinner: 1, severalWinners: 1, notHeld: 1 },
      reuse: { presented: 2, taken: 1, notPresented: 1 },
      churn: { killed: 2, resumed: 1 },
    });
  });

  it('accounts for every lost socket, and for every fresh connection', () => {
    expect(tally(run, [ended(0, 1, 2)])).not.toHaveProperty('returns');
    const losses = [
      { killed: true, how: 'attached', backMs: 10, liveMs: 11 },
      { killed: false, how: 'adopted', backMs: 4000, liveMs: 4100 },
      { killed: false, how: 'session_gone' },
    ];
    const outcomes = [outcome({ losses }), outcome({ losses, rehomed: { times: 2, liveMs: [100] } })];
    const { returns, churn } = tally(run, outcomes);
    expect(churn).toEqual({ killed: 2, resumed: 2 });
    expect(returns).toMatchObject({ losses: 6, attached: 2, adopted: 2, gone: { session_gone: 2 }, rehomed: 2 });
    expect(returns?.back).toMatchObject({ count: 4, p50: 10, max: 4000 });
    expect(returns?.live).toMatchObject({ count: 5, max: 4100 });
  });
});

describe('the seconds of a run', () => {
  it('tell who arrived, how that went, and how many were there at the end of each', () => {
    const outcomes = [
      ended(100, 50, 2500),
      ended(900, 200, 1900),
      outcome({ scheduledMs: 950, error: 'timeout' }),
      ended(2000, 10, 2100, { timings: { offer: 10, connected: 40 } }),
    ];
    expect(tally(run, outcomes).series).toEqual([
      { at: 0, arrived: 3, concurrent: 1, errors: 1, offer: { p50: 50, p95: 200 } },
      { at: 1, arrived: 0, concurrent: 1, errors: 0 },
      { at: 2, arrived: 1, concurrent: 0, errors: 0, offer: { p50: 10, p95: 10 }, connected: { p50: 40, p95: 40 } },
    ]);
  });

  it('may be more than a function takes arguments', () => {
    const outcomes = Array.from({ length: 130_000 }, (_, second) => ended(second * 1000, 1, second * 1000 + 500));
    expect(tally(run, outcomes).series).toHaveLength(130_000);
  });

  it('are none when nothing arrived', () => {
    expect(tally(run, []).series).toEqual([]);
  });
});

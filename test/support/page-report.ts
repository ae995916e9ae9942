import type { Percentiles, Report, Second } from '../../src/load/report.ts';

const spread = (count: number, p50: number, max: number): Percentiles => ({
  count,
  p50,
  p90: p50 * 1.6,
  p95: p50 * 2.1,
  p99: p50 * 3.4,
  max,
});

/** A run of that many seconds that rises, holds and falls, with a bad moment in its middle. */
export function sampleReport(seconds = 90, changes: Partial<Report> = {}): Report {
  const series = Array.from({ length: seconds }, (_, at): Second => {
    const bad = at > seconds * 0.5 && at < seconds * 0.56;
    const wave = Math.sin(at / 3) + Math.cos(at / 7);
    const arrived = at < seconds * 0.8 ? Math.round(25 + 4 * wave) : 0;
    const load = 9 + wave + (bad ? 140 : 0) + at / seconds;
    return {
      at,
      arrived,
      concurrent: Math.round(Math.min(at * 25, 500, (seconds - at - 1) * 30)),
      errors: bad ? 3 + (at % 4) : 0,
      ...(arrived > 0 && {
        offer: { p50: load, p95: load * 2.2 },
        ...(!bad && { connected: { p50: load * 4, p95: load * 7 + 20 } }),
      }),
    };
  });
  return {
    command: 'load',
    startedAt: '2026-05-04T09:12:33.120Z',
    seconds,
    urls: ['http://127.0.0.1:8080', 'http://127.0.0.1:8090'],
    options: ['--sessions 1800', '--rate 25', '--duration 20', '--media audio', '--race 3', '--churn'],
    interrupted: false,
    sessions: { planned: 1800, arrived: 1800, offered: 1789, connected: 1781, ended: 1781, failed: 19 },
    timings: {
      mint: spread(1800, 3.1, 48),
      socket: spread(1797, 4.6, 61),
      offer: spread(1789, 9.4, 212),
      connected: spread(1781, 41, 1312),
      first_packet: spread(1781, 58, 1377),
      end: spread(1781, 2.2, 31),
    },
    lateness: spread(1800, 0.3, 9.5),
    packets: { sent: 1_781_204, received: 1_780_311, lost: 893 },
    errors: { timeout: 11, unavailable: 6, http_503: 2 },
    failedSessions: [],
    endReasons: { completed: 1702, expired: 61, revoked: 12, client_lost: 6 },
    race: { contenders: 3, oneWinner: 1800, noWinner: 0, severalWinners: 0, notHeld: 0 },
    churn: { killed: 96, resumed: 0 },
    series,
    failures: [],
    ...changes,
  };
}

import { expect, it } from 'vitest';
import { howToLook, keptIn } from '../../scripts/soak/look.ts';
import { failuresOf, type Sample, type Soak, type State, slopePerMinute } from '../../scripts/soak/verdict.ts';
import { tally } from '../../src/load/tally.ts';

const run = {
  command: 'replay',
  startedAt: '2026-05-04T09:12:33.000Z',
  seconds: 600,
  urls: [],
  options: [],
  interrupted: false,
} as const;
const outcome = { index: 0, scheduledMs: 0, timings: { mint: 5, offer: 9 }, endReason: 'completed', lateMs: 0 };
const load = tally({ ...run, urls: [], options: [], planned: 1, clientsPerToken: 1 }, [
  { ...outcome, packets: { sent: 1000, received: 999, lost: 1 } },
]);
const nothing: State = {
  sessions: 0,
  sockets: 0,
  calls: 0,
  transports: 0,
  timers: 3,
  files: 30,
  places: 0,
  records: 10,
  keys: 13,
};
const steady = { nodeMb: 200, sessions: 50, sockets: 50, calls: 50, timers: 200, loopMs: 10, keys: 500 };

/** Ten minutes of samples, with memory in MB as a function of the time that passed, from 0 to 1. */
const sampled = (heapMb: (passed: number) => number, workersMb: (passed: number) => number): Sample[] =>
  Array.from({ length: 120 }, (_, i) => {
    const passed = (i + 1) / 120;
    return { ...steady, at: passed * 600, heapMb: heapMb(passed), workersMb: workersMb(passed) };
  });
const flat = sampled(
  () => 40,
  () => 30,
);

const soak = (changes: Partial<Soak> = {}): Soak => ({
  arrivals: 10,
  load,
  samples: flat,
  before: nothing,
  // A session, and a token that tried out whether the run can begin.
  after: { ...nothing, records: 12, keys: 15 },
  ...changes,
});

it('a soak passes when memory is flat, nothing is left and nothing went wrong', () => {
  expect(failuresOf(soak())).toEqual([]);
});

it('errors fail it, and more than a thousandth of the packets lost', () => {
  const packets = { sent: 1000, received: 998, lost: 2 };
  expect(failuresOf(soak({ load: { ...load, errors: { at_capacity: 2 }, packets } }))).toEqual([
    'errors: at_capacity 2',
    '0.20% of the packets were lost',
  ]);
});

it('whatever is left over fails it', () => {
  const after = { ...soak().after, sessions: 1, sockets: 2, calls: 3, transports: 4, places: 5 };
  expect(failuresOf(soak({ after }))).toEqual([
    '1 sessions were left over',
    '2 sockets were left over',
    '3 calls were left over',
    '4 transports were left over',
    '5 places were left over',
  ]);
});

it('Redis holds one record for each minted token, no more and no less', () => {
  expect(failuresOf(soak({ after: { ...nothing, records: 13 } }))).toEqual([
    '2 tokens were minted and 3 records are in Redis',
  ]);
});

it('memory may grow while all warms up, and within what collections of garbage leave to chance', () => {
  const samples = sampled(
    (passed) => (passed < 0.25 ? 20 : 40) + (passed > 0.75 ? 5.9 : 0),
    (passed) => (passed < 0.25 ? 10 : 30) + (passed > 0.75 ? 8.4 : 0),
  );
  expect(failuresOf(soak({ samples }))).toEqual([]);
});

it('memory that grows with every call fails it', () => {
  const samples = sampled(
    (passed) => 40 + 16 * passed,
    (passed) => 30 + 20 * passed,
  );
  expect(failuresOf(soak({ samples }))).toEqual([
    "Node's heap grew from 46.1 to 54.1 MB",
    'resident memory of the workers grew from 37.6 to 47.6 MB',
  ]);
  expect(slopePerMinute(samples, 'heapMb')).toBeCloseTo(1.6);
  expect(slopePerMinute(samples, 'nodeMb')).toBe(0);
});

it('a soak that was cut short shows nothing', () => {
  expect(failuresOf(soak({ load: { ...load, interrupted: true }, samples: flat.slice(0, 3) }))).toEqual([
    'it was cut short',
    "it was too short to tell whether Node's heap grows",
    'it was too short to tell whether resident memory of the workers grows',
  ]);
});

it('one that failed ends with how to look at the calls that were lost', () => {
  const call = { at: 61.5, time: '2026-05-04T09:13:34.500Z', url: 'http://127.0.0.1', endpointId: 'ep_bench' };
  const failedSessions = [
    { ...call, index: 7, error: 'no_media', step: 'first_packet' as const, tokenId: 'ct_a_b', sessionId: 'sess_7' },
    { ...call, index: 8, error: 'unreachable', cause: 'ECONNRESET', step: 'mint' as const },
  ];
  expect(howToLook({ ...load, failedSessions }, keptIn('/kept'))).toEqual([
    '61.500 s (2026-05-04T09:13:34.500Z): no_media at first_packet, sess_7',
    '61.500 s (2026-05-04T09:13:34.500Z): unreachable (ECONNRESET) at mint, 2026-05-04T09:13:34',
    'the report: /kept/report.json',
    "the server's log: /kept/server.log",
    'the calls that failed:  jq .failedSessions /kept/report.json',
    'what the server says of one:  grep sess_7 /kept/server.log',
  ]);
  expect(howToLook(load, keptIn('/kept'))).toHaveLength(2);
});

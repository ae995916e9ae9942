import type { Percentiles } from '../../src/load/report.ts';
import { alignColumns, round } from '../shared/columns.ts';
import { afterWarmUp, mintedBy, type Sample, type Soak, type State, slopePerMinute } from './verdict.ts';

/** What a soak showed, as columns of plain text. */
export function resultTable(soak: Soak): string {
  return [calls(soak), memory(soak), ends(soak)].map(alignColumns).join('\n\n');
}

function calls({ arrivals, load, samples }: Soak): string[][] {
  const { sessions, packets, errors, timings, lateness } = load;
  const codes = Object.entries(errors).map(([code, times]) => `${code} ${times}`);
  const latency = (name: string, { count, p50, p95, p99 }: Percentiles) => [
    name,
    count === 0 ? '–' : `${[p50, p95, p99].map(round).join(' / ')} ms`,
  ];
  return [
    ['calls', `${sessions.arrived} in ${round(load.seconds)} s, ${round(arrivals)} /s`],
    ['errors', codes.length === 0 ? '0' : codes.join(', ')],
    ['packets', `${packets.sent} sent, ${packets.received} received, ${packets.lost} lost`],
    latency('offer, p50 / p95 / p99', timings.offer),
    latency('connected', timings.connected),
    latency('first packet', timings.first_packet),
    latency('end', timings.end),
    latency('lateness of the tester', lateness),
    ['event-loop delay, worst p99 of 5 s', `${round(most(samples, 'loopMs'))} ms`],
  ];
}

function memory({ arrivals, samples }: Soak): string[][] {
  const [early, late] = [afterWarmUp(samples)[0], samples.at(-1)];
  const line = (name: string, kind: 'heapMb' | 'nodeMb' | 'workersMb') => {
    const slope = slopePerMinute(samples, kind);
    const show = (sample: Sample | undefined) => (sample === undefined ? '–' : `${sample[kind].toFixed(1)} MB`);
    const kbPerThousand = (slope * 1024) / ((arrivals * 60) / 1000);
    return [name, show(early), show(late), `${(slope * 1024).toFixed(0)} KB/min`, `${kbPerThousand.toFixed(0)} KB`];
  };
  return [
    ['memory', 'at 20%', 'at the end', 'slope', 'per 1,000 calls'],
    line('heap after a collection', 'heapMb'),
    line('resident, Node', 'nodeMb'),
    line('resident, workers', 'workersMb'),
  ];
}

function ends({ load, samples, before, after }: Soak): string[][] {
  const line = (name: string, kind: keyof State, sampled?: 'sessions' | 'sockets' | 'calls' | 'timers') => {
    return [name, String(before[kind]), sampled ? String(most(samples, sampled)) : '', String(after[kind])];
  };
  return [
    ['left', 'before', 'most', 'after'],
    line('sessions', 'sessions', 'sessions'),
    line('WebSockets', 'sockets', 'sockets'),
    line('media calls', 'calls', 'calls'),
    line('transports in the workers', 'transports'),
    line('timers', 'timers', 'timers'),
    line('open files', 'files'),
    line('places in Redis', 'places'),
    line(`token records (${mintedBy(load)} minted)`, 'records'),
    line('keys in Redis', 'keys'),
  ];
}

const most = (samples: readonly Sample[], kind: keyof Sample): number =>
  samples.reduce((value, sample) => Math.max(value, sample[kind]), 0);

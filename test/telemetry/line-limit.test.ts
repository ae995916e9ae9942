import type { Logger } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLog } from '../../src/telemetry/log.ts';

let lines: { level: number; msg: string; left_out?: Record<string, number> }[];
let log: Logger;

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  log = createLog('debug', { write: (line) => void lines.push(JSON.parse(line)) });
});
afterEach(() => {
  vi.useRealTimers();
});

const repeat = (times: number, write: (index: number) => void) => {
  for (let index = 0; index < times; index++) write(index);
};

it('takes twenty warnings of a kind in a minute, and then tells how many more there were', () => {
  repeat(500, (index) =>
    log.warn({ namespace: 'x' }, `request failed [id:${index}]: ${crypto.randomUUID()} not found`),
  );
  expect(lines).toHaveLength(20);
  vi.advanceTimersByTime(60_000);
  expect(lines.slice(20)).toMatchObject([
    {
      level: 40,
      msg: 'lines that came too often were left out',
      left_out: { 'request failed [id:#]: # not found': 480 },
    },
  ]);
  log.warn('request failed [id:1]: again');
  expect(lines).toHaveLength(22);
  vi.advanceTimersByTime(600_000);
  expect(lines).toHaveLength(22);
});

it('counts each kind by itself, whichever child of the log it comes from', () => {
  repeat(30, (index) => {
    log.child({ session_id: `sess_${index}` }).error({ err: new Error('x') }, 'media failed');
    log.error(new Error(`failure ${index}`));
    log.warn('another');
  });
  expect(lines).toHaveLength(60);
  vi.advanceTimersByTime(60_000);
  expect(lines.at(-1)?.left_out).toEqual({ 'media failed': 10, 'failure #': 10, another: 10 });
});

it('bounds the kinds as well', () => {
  const word = (index: number) => String.fromCharCode(...[...String(index)].map((digit) => 97 + Number(digit)));
  repeat(1000, (index) => log.warn(`line ${word(index)}`));
  expect(lines).toHaveLength(70);
  vi.advanceTimersByTime(60_000);
  expect(lines.at(-1)?.left_out).toEqual({ others: 930 });
});

it('lets everything else by, such as the audit', () => {
  repeat(100, () => log.info({ audit: true }, 'refusal'));
  expect(lines).toHaveLength(100);
});

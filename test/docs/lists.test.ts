import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CLOSE_CODES, END_REASONS } from '../../src/protocol/codes.ts';
import { CLIENT_MESSAGES, SERVER_MESSAGES } from '../../src/protocol/messages.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { ROOT } from '../support/code-blocks.ts';

const page = (name: string) => readFileSync(`${ROOT}docs/${name}`, 'utf8');

describe('docs/protocol.md lists', () => {
  const text = page('protocol.md');

  it.each(Object.keys({ ...CLIENT_MESSAGES, ...SERVER_MESSAGES }))('the message %s', (type) => {
    expect(text.includes(`{"type":"${type}"`)).toBe(true);
  });

  it.each(Object.entries(CLOSE_CODES))('the code %s with its close code', (code, close) => {
    expect(new RegExp(`^\\|[^|]*\`${code}\`[^|]*\\| ${close} \\|`, 'm').test(text)).toBe(true);
  });

  it.each(END_REASONS)('the end reason %s', (reason) => {
    expect(text.includes(`\`${reason}\``)).toBe(true);
  });
});

it('docs/operations.md lists every metric of ours, and no other', async () => {
  const none = () => 0;
  const metrics = new Metrics();
  metrics.watch({
    held: () => ({ sessions: 0, sockets: 0, calls: 0 }),
    storeReady: () => true,
    mediaReady: () => true,
    droppedLogLines: none,
    shardsAway: none,
    clockSkewMs: none,
    links: () => ({ up: 0, streams: 0 }),
  });
  try {
    const names = [...(await metrics.text()).matchAll(/^# TYPE (callgate_\w+)/gm)].map(([, name]) => name);
    const table = [...page('operations.md').matchAll(/^\| (`callgate_.*?) \|/gm)].map(([, cell]) => cell).join();
    const listed = [...table.matchAll(/`(callgate_\w+)/g)].map(([, name]) => name);
    expect(listed.toSorted()).toEqual(names.toSorted());
  } finally {
    metrics.close();
  }
});

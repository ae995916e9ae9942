import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TraceLine } from '../../src/telemetry/trace-format.ts';
import { at, callgate, report, type Target } from '../support/load-cli.ts';
import { allFree } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';

let server: TestServer;
let target: Target;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-replay-'));
  server = await TestServer.start({
    config: {
      trace: join(folder, 'again.jsonl'),
      session: { grace_ms: 300, answer_timeout_ms: 1500, connect_timeout_ms: 2500 },
    },
  });
  target = { urls: [server.running.url], apiKey: server.apiKey };
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

const file = async (name: string, lines: readonly string[]): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, `${lines.join('\n')}\n`);
  return path;
};

const line = (second: number, given: Partial<TraceLine>): string =>
  JSON.stringify({
    at: new Date(Date.UTC(2026, 0, 1, 12, 0, second)).toISOString(),
    endpoint_id: 'ep_audio',
    media: [],
    duration_ms: 1000,
    live_ms: null,
    end_reason: 'completed',
    ...given,
  } satisfies TraceLine);

describe('callgate replay', () => {
  it('lets sessions arrive, last and end as they were recorded', async () => {
    const recorded = await file('recorded.jsonl', [
      line(0, { media: ['audio'], live_ms: 40, duration_ms: 2000 }),
      line(0, { end_reason: 'expired', duration_ms: 2004 }),
      line(1, { end_reason: 'revoked' }),
      line(1, { end_reason: 'client_lost' }),
      line(1, { end_reason: 'connect_timeout', duration_ms: 2510 }),
      line(2, { end_reason: 'answer_timeout', duration_ms: 1510 }),
    ]);
    const { code, report: shown } = await report('replay', recorded, ...at(target), '--fail', 'errors>0');
    expect({ code, errors: shown.errors, failures: shown.failures }).toEqual({ code: 0, errors: {}, failures: [] });
    expect(shown.sessions).toMatchObject({ planned: 6, arrived: 6, offered: 6, connected: 1 });
    // The lost client hears of no end.
    expect(shown.endReasons).toEqual({ completed: 1, expired: 1, revoked: 1, answer_timeout: 1, connect_timeout: 1 });
    // A busy machine ends the last ones in a later second.
    expect(shown.series.slice(0, 3).map(({ arrived }) => arrived)).toEqual([2, 3, 1]);
    await allFree(server);
    // A session is free before its line is written.
    const reasons = async () => {
      const again = (await readFile(join(folder, 'again.jsonl'), 'utf8')).trim().split('\n');
      return again.map((text) => (JSON.parse(text) as TraceLine).end_reason).sort();
    };
    await expect
      .poll(reasons, { timeout: 20_000 })
      .toEqual(['answer_timeout', 'client_lost', 'completed', 'connect_timeout', 'expired', 'revoked']);
  });

  it('takes a CSV of start and duration, faster and again and again for a time', async () => {
    const csv = await file('calls.csv', ['start,duration', '0,2', '10,2', '20,4']);
    const options = '--endpoint ep_audio --media none --speed 20 --loop --for 3500ms'.split(' ');
    const { code, report: shown } = await report('replay', csv, ...at(target), ...options, '--threads', '2');
    // A pass takes 1.5 s: 0, 0.5 and 1 s, and the usual pause.
    expect({ code, sessions: shown.sessions.arrived, errors: shown.errors }).toEqual({
      code: 0,
      sessions: 7,
      errors: {},
    });
    expect(shown).toMatchObject({ command: 'replay', interrupted: false, endReasons: { completed: 7 } });
  });

  it('races for the tokens of recorded sessions, and presents them again', async () => {
    const csv = await file('raced.csv', ['0,1', '0,1']);
    const options = '--endpoint ep_audio --media none --speed 2 --race 3 --reuse'.split(' ');
    const { code, report: shown } = await report('replay', csv, ...at(target), ...options);
    expect(code).toBe(0);
    expect(shown).toMatchObject({
      race: { contenders: 3, oneWinner: 2, notHeld: 0 },
      reuse: { presented: 2, taken: 0, notPresented: 0 },
    });
  });

  it('keeps the file that it replays', async () => {
    const csv = await file('kept.csv', ['0,1']);
    const { code, stderr } = await callgate(...['replay', csv, ...at(target), '--endpoint', 'ep_audio', '--json', csv]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('is what is replayed') });
    expect(await readFile(csv, 'utf8')).toBe('0,1\n');
  });

  it('shows no command to the terminal when an endpoint is one', async () => {
    const hostile = await file('hostile.jsonl', [line(0, { endpoint_id: 'ep_\u001b[2J' })]);
    const { code, stderr } = await callgate('replay', hostile, ...at(target));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('ep_\uFFFD[2J') });
  });

  it('only says what a file holds', async () => {
    const recorded = await file('described.jsonl', [line(0, {}), line(5, { duration_ms: 9000 })]);
    const { code, stdout } = await callgate('replay', recorded, '--describe');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^2 sessions/);
  });

  it('leaves out the lines that a killed server has cut, and says how many', async () => {
    const recorded = await file('cut.jsonl', [line(0, {}), '{"at":"2026', `{"at":${line(1, {})}`]);
    const described = await callgate('replay', recorded, '--describe');
    expect(described).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1 sessions/) });
    expect(described.stderr).toMatch(/^[^\n]+cut\.jsonl: 2 lines .* left out\n$/);
    const { code, stderr } = await callgate('replay', recorded, ...at(target));
    expect(code).toBe(0);
    expect(stderr).toContain('left out');
  });

  it.each<[string, string[], string[], RegExp]>([
    ['without the file', [], [], /cannot be read/],
    ['with a line that is none', ['start,duration', '0,x'], [], /line 2: duration must be/],
    ['without an endpoint', ['start,duration', '0,1'], [], /name one with --endpoint/],
    ['for a time but once', ['start,duration', '0,1'], ['--for', '10s'], /--for goes with --loop/],
  ])('cannot begin %s', async (_, lines, options, sentence) => {
    const path = lines.length === 0 ? join(folder, 'none.csv') : await file('bad.csv', lines);
    const { code, stdout, stderr } = await callgate('replay', path, ...at(target), ...options);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(sentence);
  });
});

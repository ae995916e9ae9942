import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSessions } from '../../../src/load/trace/read.ts';
import { UsageError } from '../../../src/load/usage-error.ts';
import { END_REASONS } from '../../../src/protocol/codes.ts';
import type { TraceLine } from '../../../src/telemetry/trace-format.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-read-'));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
const record = async (text: string) => {
  const path = join(folder, `${files++}`);
  await writeFile(path, text);
  return readSessions(path);
};
const read = async (text: string) => (await record(text)).arrivals;

/** The lines of the mistakes, without the headline. */
const mistakes = async (text: string): Promise<string[]> => {
  const error: unknown = await read(text).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(UsageError);
  return (error as UsageError).message.split('\n  ').slice(1);
};

const LINE: TraceLine = {
  at: '2026-05-04T09:12:33.120Z',
  endpoint_id: 'ep_echo',
  media: ['audio'],
  duration_ms: 1500,
  live_ms: 80,
  end_reason: 'completed',
};
const line = (changes: Record<string, unknown> = {}): string => JSON.stringify({ ...LINE, ...changes });

describe('a recorded trace', () => {
  it('is read in the order of arrival, counted from the first', async () => {
    const later = line({ at: '2026-05-04T11:12:34.000+02:00', endpoint_id: 'ep_b', duration_ms: 0 });
    expect(await read(`${later}\r\n\n${line()}\n`)).toEqual([
      { atMs: 0, endpointId: 'ep_echo', media: 'audio', durationMs: 1500, ending: 'hangup' },
      { atMs: 880, endpointId: 'ep_b', media: 'audio', durationMs: 0, ending: 'hangup' },
    ]);
  });

  it('ends sessions as they ended, where a client or a backend can', async () => {
    const endings = (await read(END_REASONS.map((end_reason) => line({ end_reason })).join('\n'))).map((a) => a.ending);
    expect(Object.fromEntries(END_REASONS.map((reason, i) => [reason, endings[i]]))).toEqual({
      completed: 'hangup',
      expired: 'expiry',
      revoked: 'revoke',
      answer_timeout: 'silence',
      connect_timeout: 'unconnected',
      negotiation_failed: 'hangup',
      client_lost: 'loss',
      ticket_reused: 'hangup',
      worker_lost: 'hangup',
      node_lost: 'hangup',
      node_drained: 'hangup',
      flow_closed: 'hangup',
      server_shutdown: 'hangup',
      application_unavailable: 'hangup',
      application_lost: 'hangup',
    });
  });

  it.each([
    [['audio'], 80, 'audio'],
    [['video'], 80, 'audio+video'],
    [['video', 'audio', 'data'], 80, 'audio+video'],
    [['data'], 80, 'audio'],
    [[], 80, 'none'],
    [['audio', 'video'], null, 'none'],
  ])('of media %j, live after %s ms, sends %s', async (media, live_ms, sends) => {
    expect((await read(line({ media, live_ms })))[0]?.media).toBe(sends);
  });

  it('is refused with the lines and what is wrong with them', async () => {
    const text = [
      line(),
      'start',
      line({ at: '2026-13-04T09:12:33Z' }),
      line({ duration_ms: -1 }),
      line({ media: ['smell'] }),
      line({ caller: 'Ada' }),
      line({ live_ms: 'soon' }),
      line({ end_reason: 'boredom' }),
    ];
    expect(await mistakes(text.join('\n'))).toEqual([
      'line 2: is not a JSON object',
      'line 3: at must be an RFC 3339 time',
      'line 4: duration_ms must be a whole number of milliseconds',
      'line 5: media must be a list of audio, video and data',
      'line 6: must have at, endpoint_id, media, duration_ms, live_ms, end_reason, and nothing else',
      'and 2 more mistakes',
    ]);
  });

  it('is read without the lines whose writer was killed, alone or with the next line in one, and counts them', async () => {
    const text = [line(), '{"at":"2026-05', line(), `{"at":"20${line()}`, '', line().slice(0, -1)].join('\n');
    const { arrivals, cutLines } = await record(text);
    expect({ sessions: arrivals.length, cutLines }).toEqual({ sessions: 2, cutLines: 3 });
    expect(await record(line())).toMatchObject({ cutLines: 0 });
  });

  it('holds no sessions where every line was cut', async () => {
    await expect(record('{"at":')).rejects.toThrow('holds no sessions');
  });

  it('is refused for a line that is no trace, also when others were cut', async () => {
    expect(await mistakes([line(), '{"at":', '{}', '"at"'].join('\n'))).toEqual([
      expect.stringMatching(/^line 3: must have at, /),
      'line 4: is not a JSON object',
    ]);
  });

  it.each(['{"__proto__":{"at":1}}', '{}', '{"at":null}'])('is refused where it holds %s', async (text) => {
    expect(await mistakes(text)).toEqual([expect.stringMatching(/^line 1: /)]);
  });
});

describe('a CSV file', () => {
  it.each(['', 'start,duration\n', 'Start, Duration\r\n', '\uFEFFstart,duration\n', '"start","duration"\n'])(
    'with the header %j',
    async (header) => {
      expect(await read(`${header}100.5,2\n99.25,0.5\n`)).toEqual([
        { atMs: 0, endpointId: '', media: 'audio', durationMs: 500, ending: 'hangup' },
        { atMs: 1250, endpointId: '', media: 'audio', durationMs: 2000, ending: 'hangup' },
      ]);
    },
  );

  it('with times and endpoints', async () => {
    const text = 'start,duration,endpoint_id\n2026-05-04T09:12:34Z,60,ep_b\n2026-05-04T09:12:33.500Z, 30 , ep_a';
    expect((await read(text)).map(({ atMs, endpointId }) => [atMs, endpointId])).toEqual([
      [0, 'ep_a'],
      [500, 'ep_b'],
    ]);
  });

  it('with fields in quotes', async () => {
    const text = '"start" , "duration","endpoint_id"\n"0","2","ep_a"\r\n"2","0.5",ep_b';
    expect((await read(text)).map(({ atMs, durationMs, endpointId }) => [atMs, durationMs, endpointId])).toEqual([
      [0, 2000, 'ep_a'],
      [2000, 500, 'ep_b'],
    ]);
  });

  it.each([
    '2026-05-04T09:12:33Z',
    '2026-05-04 09:12:33',
    '2026-05-04 09:12:33.000000',
    '2026-05-04t09:12:33z',
    '2026-05-04T11:12:33+02:00',
    '2026-05-04 09:12:33+00',
    '2026-05-04 11:12:33.000+02',
    '2026-05-04 11:12:33+0200',
    '2026-05-04 02:12:33.0000000 -07:00',
    '2026-05-04 02:12:33.000 -0700',
    '2026-05-04 09:12:33 UTC',
    '2026-05-04 09:12:33.00 GMT',
    '2026/05/04 09:12:33',
    '"2026-05-04 09:12:33,000"',
    '1777885953',
    '1777885953.000',
    '1777885953000',
  ])('with the time %s', async (time) => {
    const text = `start,duration\n2026-05-04T09:12:32Z,1\n${time},1\n2026-05-04T09:12,2\n`;
    expect((await read(text)).map(({ atMs }) => atMs)).toEqual([0, 32_000, 33_000]);
  });

  it.each([
    ['start;duration;endpoint_id\n2026-05-04 09:12:33,25;1,5;ep_a\n2026-05-04 09:12:34,5;0:01:02,5;', [1500, 62_500]],
    [
      '\uFEFF"Start";"Duration"\r\n"2026-05-04 09:12:33,25";"1,5"\r\n"2026-05-04 09:12:34,5";"62,5"\r\n',
      [1500, 62_500],
    ],
    ['start\tduration\n2026-05-04 09:12:33,25\t1.5\n2026-05-04 09:12:34.5\t00:01:02.5\n', [1500, 62_500]],
    ['start,duration\n"2026-05-04 09:12:33,25","1,5"\n2026-05-04 09:12:34.5,1:00:00\n', [1500, 3_600_000]],
    ['2026-05-04 09:12:33,25;1\n2026-05-04 09:12:34,5;2\n', [1000, 2000]],
  ])('with the delimiter that its first line has: %j', async (text, durations) => {
    const arrivals = await read(text);
    expect(arrivals.map(({ atMs }) => atMs)).toEqual([0, 1250]);
    expect(arrivals.map(({ durationMs }) => durationMs)).toEqual(durations);
  });

  it.each([
    '2026-02-30 09:12:33',
    '2026-05-04 24:00:00',
    '2026-05-04 09:12:33 CEST',
    '2026-05-04',
    '2026-05-04 23:59:60',
    '04.05.2026 09:12',
  ])('with the time %s is told which it may have', async (time) => {
    expect(await mistakes(`start,duration\n${time},1`)).toEqual([
      expect.stringMatching(/^line 2: start must be a time like .*\+02, .* UTC .*, seconds, or milliseconds/),
    ]);
  });

  it('with commas in numbers as well as between fields is told what to do', async () => {
    expect(await mistakes('start,duration\n2026-05-04 09:12:33,123,60\n1,60,5\n')).toEqual(
      [2, 3].map(
        (line) => `line ${line}: has a third number: put fields with a comma in quotes, or semicolons between them`,
      ),
    );
  });

  it.each(['time,seconds', 'Start time,Duration,Endpoint', '"duration","start"', '05/04/2026 09:12,60'])(
    'that begins with %j is told which header it may have',
    async (header) => {
      expect(await mistakes(`${header}\n1,2\n`)).toEqual([
        expect.stringMatching(
          /^line 1: is neither a session nor the header start,duration or start,duration,endpoint_id: start must be a time like /,
        ),
      ]);
    },
  );

  it('is refused with the lines and what is wrong with them', async () => {
    expect(await mistakes('start,duration\n1\nyesterday,1\n1,-1\n1,1e9\n1,2,ep,x\n1,\n')).toEqual([
      'line 2: must be start,duration or start,duration,endpoint_id, with commas, semicolons or tabs between them',
      expect.stringMatching(/^line 3: start must be a time like /),
      'line 4: duration must be a number of seconds, or a time like 1:02:03',
      'line 5: duration must be a number of seconds, or a time like 1:02:03',
      'line 6: must be start,duration or start,duration,endpoint_id, with commas, semicolons or tabs between them',
      'and 1 more mistakes',
    ]);
  });
});

describe('a file', () => {
  it.each(['', '\n\n', 'start,duration\n'])('without sessions, such as %j, is refused', async (text) => {
    await expect(read(text)).rejects.toThrow('holds no sessions');
  });

  it('that is not there is refused', async () => {
    await expect(readSessions(join(folder, 'nowhere'))).rejects.toThrow(/nowhere cannot be read \(ENOENT\)$/);
  });

  it('with lines of more than 4 KiB is refused, however long they are and wherever they end', async () => {
    const long = 'x'.repeat(4097);
    const endless = 'x'.repeat(1_000_000);
    expect(await mistakes(`${line()}\n${long}\n${endless}\n${line()}\n${long}`)).toEqual([
      'line 2: is longer than 4 KiB',
      'line 3: is longer than 4 KiB',
      'line 5: is longer than 4 KiB',
    ]);
    expect(await read(`${line()}${' '.repeat(4096 - line().length)}\n`)).toHaveLength(1);
  });

  it('of more than a million sessions is refused', async () => {
    await expect(read('1,1\n'.repeat(1_000_001))).rejects.toThrow('more than a million sessions');
  });

  it('is given up where it has no end', async () => {
    await expect(readSessions('/dev/zero')).rejects.toThrow('/dev/zero is neither a file nor a pipe');
    await expect(read('x'.repeat(1_200_000))).rejects.toThrow('line 1 does not end within 1 MiB');
    await expect(read('\n'.repeat(2_000_001))).rejects.toThrow('has more than 2000000 lines');
    expect((await mistakes('no\n'.repeat(500_000))).at(-1)).toMatch(
      /^and \d{5} more mistakes, and what follows was not read$/,
    );
  });

  it('may be a pipe, which is given up as well where it has no end', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const write = (command: string) =>
      once(spawn('sh', ['-c', `${command} > "$0"`, pipe], { stdio: 'ignore' }), 'exit');
    const endless = write('yes | tr -d "\\n"');
    await expect(readSessions(pipe)).rejects.toThrow('line 1 does not end within 1 MiB');
    // Nobody reads any more.
    await endless;
    const calls = write('printf "1,2\\n3,4\\n"');
    expect((await readSessions(pipe)).arrivals).toHaveLength(2);
    await calls;
  });

  it('that is compressed is told as such', async () => {
    const path = join(folder, 'compressed');
    await writeFile(path, gzipSync('0,5\n'));
    await expect(readSessions(path)).rejects.toThrow('is compressed; give what `zcat` makes of it');
  });

  it('of UTF-16 is told as such', async () => {
    const path = join(folder, 'utf16');
    await writeFile(path, Buffer.from('\uFEFFstart,duration\n1,2\n', 'utf16le'));
    await expect(readSessions(path)).rejects.toThrow('is UTF-16; save it as UTF-8');
  });

  it('that is not text is refused without being repeated', async () => {
    const told = await mistakes('\u001b[31m\u0000\u0001,\u0002');
    expect(told).toEqual([expect.stringMatching(/^line 1: is neither a session nor the header [\x20-\x7e]+$/)]);
  });
});

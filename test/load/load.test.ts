import { spawnSync } from 'node:child_process';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENVIRONMENT } from '../support/environment.ts';
import { at, callgate, report, type Target } from '../support/load-cli.ts';
import { allFree } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';

let server: TestServer;
let target: Target;

beforeAll(async () => {
  server = await TestServer.start();
  target = { urls: [server.running.url], apiKey: server.apiKey };
});
afterAll(() => server.stop());

const SHORT = '--endpoint ep_audio --sessions 10 --rate 50 --duration 200ms --media none'.split(' ');

/** Short sessions without media; of an option that is given again, the last counts. */
const load = (...options: string[]) => report('load', ...at(target), ...SHORT, ...options);

describe('callgate load', () => {
  it('negotiates without media, holds and hangs up', async () => {
    const { code, stdout, stderr, report } = await load();
    expect(code).toBe(0);
    expect(stdout + stderr + JSON.stringify(report)).not.toContain(server.apiKey);
    expect(report.sessions).toEqual({ planned: 10, arrived: 10, offered: 10, connected: 0, ended: 10, failed: 0 });
    expect(report.endReasons).toEqual({ completed: 10 });
    expect(report).toMatchObject({ command: 'load', urls: target.urls, interrupted: false, errors: {}, failures: [] });
    const { mint, socket, offer, end } = report.timings;
    expect([mint, socket, offer, end].map(({ count }) => count)).toEqual([10, 10, 10, 10]);
    expect(mint.p50).toBeLessThan(offer.p50);
    expect(report.series.reduce((sum, { arrived }) => sum + arrived, 0)).toBe(10);
    expect(stdout).toMatch(/^offer +10( +[\d.]+){5}$/m);
    expect(stdout).toContain('passed');
    await allFree(server);
  });

  it('sends audio and counts what the echo brings back', async () => {
    const { code, report } = await load('--media', 'audio', '--sessions', '5', '--rate', '10', '--duration', '2s');
    expect(code).toBe(0);
    expect(report.sessions).toMatchObject({ arrived: 5, connected: 5, ended: 5, failed: 0 });
    expect(report.timings.first_packet.count).toBe(5);
    expect(report.packets.received).toBeGreaterThan(10);
    expect(report.packets.received).toBeLessThanOrEqual(report.packets.sent);
    expect(report.packets.lost).toBe(0);
    await allFree(server);
  });

  it('sends video too, on several threads', async () => {
    const video = ['--endpoint', 'ep_echo', '--media', 'audio+video', '--threads', '2'];
    const { report } = await load(...video, '--sessions', '4', '--rate', '10', '--duration', '2s');
    expect(report.sessions).toMatchObject({ arrived: 4, connected: 4, failed: 0 });
    expect(report.options).toContain('--threads 2');
    await allFree(server);
  });

  it('waits for the longest duration of a token', async () => {
    const { report } = await load('--ending', 'expiry', '--duration', '1s', '--sessions', '5');
    expect(report.endReasons).toEqual({ expired: 5 });
    expect(report).toMatchObject({ errors: {}, timings: { end: { count: 5 } } });
  });

  it('presents a token again after its session, and sees it refused', async () => {
    const { code, report } = await load('--reuse', '--sessions', '5');
    expect({ code, reuse: report.reuse, errors: report.errors }).toEqual({
      code: 0,
      reuse: { presented: 5, taken: 0, notPresented: 0 },
      errors: {},
    });
  });

  it('kills sockets, and resumes the sessions', async () => {
    const { report } = await load('--churn', '1', '--sessions', '5');
    expect(report).toMatchObject({
      errors: {},
      churn: { killed: 5, resumed: 5 },
      returns: { losses: 5, attached: 5, adopted: 0, gone: {}, back: { count: 5 } },
      endReasons: { completed: 5 },
    });
    await allFree(server);
  });

  it('says that a room with nobody else sends nothing back, and is no failure', async () => {
    const room = ['--endpoint', 'ep_room', '--media', 'audio', '--sessions', '1', '--duration', '1s'];
    const { code, report } = await load(...room);
    expect({ code, errors: report.errors, received: report.packets.received }).toEqual({
      code: 0,
      errors: {},
      received: 0,
    });
    expect(report.packets.sent).toBeGreaterThan(0);
  });

  it('counts sessions that the server refuses by their code', async () => {
    const { code, report } = await load(
      '--endpoint',
      'ep_one',
      '--sessions',
      '5',
      '--duration',
      '1s',
      '--fail',
      'errors.at_capacity>3',
    );
    expect(report.errors).toEqual({ at_capacity: 4 });
    expect(report.failures).toEqual(['errors.at_capacity>3: it was 4']);
    expect(code).toBe(1);
  });

  it('fails when a threshold is exceeded, or was never measured', async () => {
    const { code, stdout, report } = await load(
      '--fail',
      'mint.p50>0',
      '--fail',
      'errors>0',
      '--fail',
      'connected.p95>1',
    );
    expect(code).toBe(1);
    expect(report.failures).toEqual([
      expect.stringMatching(/^mint\.p50>0: it was [\d.]+$/),
      'connected.p95>1: nothing was measured',
    ]);
    expect(stdout).toContain('FAILED  connected.p95>1: nothing was measured');
  });

  it('writes nothing but JSON to standard output when that is asked for, and a page beside it', async () => {
    const page = join(tmpdir(), `callgate-${process.pid}.html`);
    const { stdout, stderr } = await callgate('load', ...at(target), ...SHORT, '--json', '-', '--html', page);
    expect(JSON.parse(stdout)).toMatchObject({ sessions: { arrived: 10 } });
    expect(stderr).toContain('passed');
    expect(await readFile(page, 'utf8')).toMatch(/^<!doctype html>/i);
    await rm(page);
  });

  it('takes the key from a file', async () => {
    const file = join(tmpdir(), `callgate-${process.pid}.key`);
    await writeFile(file, `${server.apiKey}\n`);
    const { code } = await callgate('load', '--url', server.running.url, '--api-key-file', file, ...SHORT);
    expect(code).toBe(0);
    await rm(file);
  });
});

it('an API key may be in a variable; as an argument or in an open file it is used and warned about', async () => {
  const file = join(tmpdir(), `callgate-open-${process.pid}.key`);
  await writeFile(file, `\uFEFF${server.apiKey}\r\n`, { mode: 0o644 });
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const child = spawnSync(
      process.execPath,
      ['src/cli.ts', 'load', '--url', 'http://127.0.0.1:1', ...args, ...SHORT],
      {
        env: { ...ENVIRONMENT, ...env },
        encoding: 'utf8',
      },
    );
    expect(child.stderr).toMatch(/cannot be reached|reached/);
    return child.stderr;
  };
  expect(await run([], { CALLGATE_API_KEY: server.apiKey })).not.toContain('warning');
  expect(await run(['--api-key', server.apiKey])).toContain('warning: --api-key shows the key to others');
  expect(await run(['--api-key-file', file])).toContain(
    `warning: others on this machine can read ${file}: chmod o-rwx`,
  );
  await chmod(file, 0o640);
  expect(await run(['--api-key-file', file])).not.toContain('warning');
  await rm(file);
});

describe('an API key in a wrong place is not shown, but where it belongs,', () => {
  const KEY = 'cgk_demo_secret';
  it.each<[string, string[], RegExp]>([
    ['as an argument that is none', ['load', ...SHORT, KEY], /too many arguments for 'load'/],
    ['as the path of its file', ['load', ...SHORT, '--url', 'http://h', '--api-key-file', KEY], /cannot be read/],
    ['as an address', ['load', ...SHORT, '--url', KEY], /option '--url <url>' argument 'cgk_…' is invalid/],
    ['with a misspelt option', ['load', ...SHORT, `--apikey=${KEY}`], /unknown option '--apikey=cgk_…'/],
    ['as the file to replay', ['replay', KEY], /cannot be read/],
  ])('%s', async (_, args, sentence) => {
    const { code, stdout, stderr } = await callgate(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toContain('secret');
    expect(stderr).toMatch(/^error: [^\n]+\. An API key goes to --api-key-file or CALLGATE_API_KEY\.\n$/);
  });
});

describe('callgate load cannot begin', () => {
  const url = () => target.urls[0]!;
  it.each<[string, () => string[], RegExp]>([
    ['without an address', () => ['--api-key', server.apiKey, ...SHORT], /--url is missing/],
    ['without a key', () => ['--url', url(), ...SHORT], /API key is missing/],
    ['with a key that is none', () => ['--url', url(), '--api-key', 'x', ...SHORT], /form cgk_<key id>_<secret>\n$/],
    ['with two keys', () => [...at(target), '--api-key-file', 'x', ...SHORT], /cannot be used with/],
    ['with a wrong key', () => ['--url', url(), '--api-key', 'cgk_backend_x', ...SHORT], /api_key_invalid/],
    ['where nothing listens', () => ['--url', 'http://127.0.0.1:1', '--api-key', server.apiKey, ...SHORT], /reached/],
    ['on an endpoint that is not there', () => [...at(target), ...SHORT, '--endpoint', 'ep_x'], /endpoint_unknown/],
    ['with a condition that means nothing', () => [...at(target), ...SHORT, '--fail', 'slow'], /connected\.p95>500/],
    [
      'with half a second to expire',
      () => [...at(target), ...SHORT, '--ending', 'expiry', '--duration', '1.5s'],
      /whole/,
    ],
    [
      'with a report that cannot be written',
      () => [...at(target), ...SHORT, '--json', '/no/where'],
      /cannot be written/,
    ],
  ])('%s', async (_, options, sentence) => {
    const { code, stdout, stderr } = await callgate('load', ...options());
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.replace(/^warning: --api-key [^\n]+\n/, '')).toMatch(/^error: [^\n]+\n$/);
    expect(stderr).toMatch(sentence);
  });
});

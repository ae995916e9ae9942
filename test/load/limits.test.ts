import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Report } from '../../src/load/report.ts';
import { FaultyGate } from '../support/faulty-gate.ts';
import { at, Command, callgate } from '../support/load-cli.ts';
import { TestServer } from '../support/server.ts';

const SHORT = '--endpoint ep_echo --sessions 10 --rate 50 --duration 500ms'.split(' ');

const folder = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'callgate-limits-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
};

it('a run that has no file descriptor left for its media ends, and reports', { timeout: 60_000 }, async () => {
  const server = await TestServer.start();
  onTestFinished(() => server.stop());
  const target = at({ urls: [server.running.url], apiKey: server.apiKey });
  const options = [
    ...SHORT,
    '--endpoint',
    'ep_audio',
    '--sessions',
    '40',
    '--rate',
    '40',
    '--duration',
    '2s',
    '--json',
    '-',
  ];
  const { code, stdout } = await new Command(['load', ...target, ...options, '--threads', '1'], 64).done;
  const report = JSON.parse(stdout) as Report;
  expect(report.sessions.arrived).toBe(40);
  // Whichever socket was the one too many.
  expect(report.sessions.failed).toBeGreaterThan(0);
  expect(code).toBe(0);
});

it('a report that cannot be written after the run is told of', async () => {
  const gate = await FaultyGate.start();
  onTestFinished(() => gate.stop());
  const gone = join(await folder(), 'gone');
  await mkdir(gone);
  const command = new Command(['load', ...at(gate), ...SHORT, '--media', 'none', '--json', join(gone, 'report.json')]);
  await expect.poll(() => gate.sessions, { timeout: 20_000 }).toBeGreaterThan(0);
  await rm(gone, { recursive: true });
  const { code, stdout, stderr } = await command.done;
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/report\.json cannot be written \(ENOENT\)/),
  });
  expect(stdout).toContain('passed');
});

it('a run that cannot begin leaves an earlier report as it is', async () => {
  const file = join(await folder(), 'earlier.json');
  await writeFile(file, '{}');
  const nowhere = at({ urls: ['http://127.0.0.1:1'], apiKey: 'cgk_backend_secret' });
  const { code } = await callgate('load', ...nowhere, ...SHORT, '--json', file);
  expect({ code, text: await readFile(file, 'utf8') }).toEqual({ code: 2, text: '{}' });
});

it('a run that cannot begin leaves no empty report', async () => {
  const path = await folder();
  const nowhere = at({ urls: ['http://127.0.0.1:1'], apiKey: 'cgk_backend_secret' });
  const reports = ['--json', join(path, 'report.json'), '--html', join(path, 'report.html')];
  const { code } = await callgate('load', ...nowhere, ...SHORT, ...reports);
  expect({ code, files: await readdir(path) }).toEqual({ code: 2, files: [] });
});

it('the list of processes does not show the key', { skip: process.platform !== 'linux' }, async () => {
  const gate = await FaultyGate.start();
  onTestFinished(() => gate.stop());
  const command = new Command(['load', ...at(gate), ...SHORT, '--media', 'none']);
  await expect.poll(() => gate.sessions, { timeout: 20_000 }).toBeGreaterThan(0);
  const shown = await readFile(`/proc/${command.child.pid}/cmdline`, 'utf8');
  expect(shown).toContain('callgate load');
  expect(shown).not.toContain(gate.apiKey);
  await command.done;
});

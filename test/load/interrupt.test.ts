import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import type { Report } from '../../src/load/report.ts';
import { type Faults, FaultyGate } from '../support/faulty-gate.ts';
import { at, Command, type Target } from '../support/load-cli.ts';
import { allFree } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';

const load = (target: Target, ...options: string[]): Command => {
  const long = '--endpoint ep_echo --sessions 1000 --rate 20 --duration 1h --json -'.split(' ');
  const command = new Command(['load', ...at(target), ...long, ...options]);
  onTestFinished(() => {
    command.child.kill('SIGKILL');
  });
  return command;
};

it.each(['SIGINT', 'SIGTERM'] as const)('%s ends the sessions properly, and still reports', async (signal) => {
  const server = await TestServer.start();
  onTestFinished(() => server.stop());
  const command = load({ urls: [server.running.url], apiKey: server.apiKey }, '--media', 'audio', '--fail', 'errors>0');
  await expect.poll(() => server.running.held().sessions, { timeout: 20_000 }).toBeGreaterThan(3);
  command.child.kill(signal);
  const { code, stdout, stderr } = await command.done;
  const report = JSON.parse(stdout) as Report;
  expect(report.interrupted).toBe(true);
  expect(report.sessions.arrived).toBeLessThan(1000);
  expect(report.endReasons).toEqual({ completed: report.sessions.arrived });
  expect({ code, errors: report.errors }).toEqual({ code: 0, errors: {} });
  expect(stderr).toContain('ending the sessions');
  await allFree(server);
});

it('a second Ctrl-C leaves at once', async () => {
  const gate = await FaultyGate.start({ deaf: true });
  onTestFinished(() => gate.stop());
  const command = load(gate, '--media', 'none');
  await expect.poll(() => gate.sessions, { timeout: 20_000 }).toBeGreaterThan(1);
  command.child.kill('SIGINT');
  await expect.poll(() => command.stderr).toContain('ending the sessions');
  // Twice within a second is one Ctrl-C that came by two ways.
  command.child.kill('SIGINT');
  await delay(1200);
  expect(command.child.exitCode).toBe(null);
  command.child.kill('SIGINT');
  expect(await command.done).toMatchObject({ code: 130, stdout: '' });
});

/** What a run reports that was interrupted with two sessions or more. */
const interrupted = async (faults: Faults, ...options: string[]): Promise<Report> => {
  const gate = await FaultyGate.start(faults);
  onTestFinished(() => gate.stop());
  const command = load(gate, '--media', 'none', ...options);
  await expect.poll(() => gate.presented, { timeout: 20_000 }).toBeGreaterThan(1);
  command.child.kill('SIGINT');
  return JSON.parse((await command.done).stdout) as Report;
};

it('sessions that do not end are left behind after a while, and races that nobody decides', {
  timeout: 60_000,
}, async () => {
  const [deaf, race, several] = await Promise.all([
    interrupted({ deaf: true }),
    interrupted({ abandons: true }, '--race', '2'),
    interrupted({ winners: 2, mutesLosers: true }, '--race', '3'),
  ]);
  expect(deaf.errors).toEqual({ interrupted: deaf.sessions.arrived });
  // Had the losers waited for their last word, each race would have had its winner.
  expect(race.errors).toEqual({ socket_closed_1011: race.sessions.arrived });
  expect(race.race).toMatchObject({ oneWinner: 0, noWinner: 0, notHeld: race.sessions.arrived });
  // What was seen before counts all the same.
  expect(several.race).toMatchObject({ severalWinners: several.sessions.arrived, notHeld: 0 });
});

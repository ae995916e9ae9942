import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { at, report } from '../support/load-cli.ts';

const CALLS = '--endpoint ep_echo --sessions 6 --rate 20 --duration 8s --media audio --fail errors>0'.split(' ');

/** Audio calls whose media worker is killed while they run. */
const loadAndKillWorker = async (...options: string[]) => {
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  const server = await deployment.server({ LOG_LEVEL: 'info' });
  const run = report('load', ...at({ urls: [server.url], apiKey: deployment.apiKey }), ...CALLS, ...options);
  const burned = () => server.log.filter(({ msg }) => msg === 'burn').length;
  await expect.poll(burned, { timeout: 30_000 }).toBe(6);
  await sleep(3000);
  const [worker] = execFileSync('pgrep', ['-P', String(server.pid)], { encoding: 'utf8' })
    .trim()
    .split('\n');
  process.kill(Number(worker), 'SIGKILL');
  return run;
};

it('calls follow a fresh connection when their worker dies, and media comes back', { timeout: 60_000 }, async () => {
  const { code, report } = await loadAndKillWorker('--fresh');
  expect({ code, errors: report.errors }).toEqual({ code: 0, errors: {} });
  expect(report.returns).toMatchObject({ losses: 0, rehomed: 6, live: { count: 6 } });
  expect(report.endReasons).toEqual({ completed: 6 });
});

it('without it they end with the worker', { timeout: 60_000 }, async () => {
  const { report } = await loadAndKillWorker();
  expect(report.errors).toEqual({ worker_lost: 6 });
  expect(report).not.toHaveProperty('returns');
});

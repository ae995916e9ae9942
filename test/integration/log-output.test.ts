import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../support/ports.ts';
import { ServerProcess } from '../support/server-process.ts';

const REFUSED = 300;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-log-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

const opened = (path: string, flags: string | number): number => {
  const fd = openSync(path, flags);
  onTestFinished(() => closeSync(fd));
  return fd;
};

const fifo = (): string => {
  const path = join(folder, 'fifo');
  execFileSync('mkfifo', [path]);
  return path;
};

/** A disk of 64 KiB; making one takes root. */
const smallDisk = (): string => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]);
  onTestFinished(() => void execFileSync('umount', [folder]));
  return folder;
};

const start = async (stdout: number) => {
  const metricsPort = await freePort();
  const server = await ServerProcess.start({ env: { LOG_LEVEL: 'debug', PORT: String(metricsPort - 1) }, stdout });
  onTestFinished(async () => void (await server.stop()));
  const droppedLines = async () => {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    return Number(/^callgate_log_lines_dropped_total (\d+)/m.exec(text)?.[1]);
  };
  /** Mints without a key: each is a line or two in the log. */
  const refuse = async (times = REFUSED) => {
    for (let i = 0; i < times; i += 50) {
      const mint = () => fetch(`${server.url}/v1/call-tokens`, { method: 'POST', body: '{}' });
      await Promise.all(Array.from({ length: 50 }, async () => (await mint()).arrayBuffer()));
    }
  };
  return { server, droppedLines, refuse };
};

describe('a server goes on, and stops, with its log', { timeout: 60_000 }, () => {
  it('on a full device, whose lines are dropped and counted', async () => {
    const { server, droppedLines, refuse } = await start(opened('/dev/full', 'w'));
    await refuse();
    await expect.poll(droppedLines).toBeGreaterThan(REFUSED);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it.runIf(process.getuid?.() === 0)(
    'on a full disk, and tells how many lines are missing when it has room',
    async () => {
      const disk = smallDisk();
      const [filler, log] = [join(disk, 'filler'), join(disk, 'log')];
      execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1k', 'count=48'], { stdio: 'ignore' });
      const { server, droppedLines, refuse } = await start(opened(log, 'a'));
      await refuse();
      await expect.poll(droppedLines).toBeGreaterThan(0);
      rmSync(filler);
      await expect.poll(() => readFileSync(log, 'utf8'), { timeout: 5000 }).toContain('log lines were dropped');
      await expect.poll(() => fetch(`${server.url}/healthz`).then(({ status }) => status)).toBe(200);
      expect(await server.stop()).toEqual({ code: 0, signal: null });
      // What had waited may have filled the disk again, in the middle of a line.
      const lines = readFileSync(log, 'utf8')
        .split('\n')
        .slice(0, -1)
        .filter((line) => line.startsWith('{'));
      expect(lines.map((line) => JSON.parse(line).msg)).toContain('callgate is up');
    },
  );

  it('in a pipe that nobody reads, and with its last lines when somebody does', async () => {
    const path = fifo();
    const pipe = opened(path, constants.O_RDWR);
    const { server, refuse } = await start(pipe);
    await refuse();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(readSync(opened(path, constants.O_RDONLY | constants.O_NONBLOCK), Buffer.alloc(1024))).toBe(1024);
  });

  it('in a pipe whose reader has left', async () => {
    const path = fifo();
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { server, droppedLines, refuse } = await start(opened(path, constants.O_WRONLY));
    closeSync(reader);
    await refuse();
    await expect.poll(droppedLines).toBeGreaterThan(REFUSED);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

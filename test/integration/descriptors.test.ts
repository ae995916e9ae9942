import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { ServerProcess } from '../support/server-process.ts';

it('a server whose descriptors are used up says so once, and what to raise', async () => {
  const server = await ServerProcess.start();
  onTestFinished(async () => void (await server.stop()));
  const limit = readdirSync(`/proc/${server.pid}/fd`).length + 10;
  execFileSync('prlimit', ['--pid', String(server.pid), `--nofile=${limit}:`]);
  const port = Number(new URL(server.url).port);
  const sockets = Array.from({ length: 40 }, () => connect({ port, host: '127.0.0.1' }).on('error', () => {}));
  onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));

  await server.printed(/no file descriptor is free.*ulimit -n.*LimitNOFILE/);
  await delay(2500);
  expect(server.output.match(/no file descriptor is free/g)).toHaveLength(1);
  for (const socket of sockets) socket.destroy();
  await expect
    .poll(
      () =>
        fetch(`${server.url}/healthz`).then(
          ({ status }) => status,
          () => 0,
        ),
      { timeout: 10_000 },
    )
    .toBe(200);
});

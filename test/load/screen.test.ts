import { PassThrough } from 'node:stream';
import { WriteStream } from 'node:tty';
import { expect, it, onTestFinished } from 'vitest';
import { Latencies } from '../../src/load/latencies.ts';
import { Screen } from '../../src/load/screen.ts';

it('cuts its lines to the width of the terminal, so that it erases as many rows as it drew', async () => {
  const { moveCursor, clearScreenDown } = WriteStream.prototype;
  const terminal = Object.assign(new PassThrough({ encoding: 'utf8' }), {
    isTTY: true,
    columns: 20,
    moveCursor,
    clearScreenDown,
  });
  const progress = { elapsedMs: 1000, planned: 100, running: 10, outcomes: [], latencies: new Latencies() };
  const screen = new Screen(terminal as unknown as NodeJS.WriteStream, () => progress);
  onTestFinished(() => screen.close());
  await expect.poll(() => terminal.readableLength).toBeGreaterThan(0);
  expect(terminal.read()).toBe('1 s: 10 of 100 arri\n');
});

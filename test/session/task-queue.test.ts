import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { TaskQueue } from '../../src/session/task-queue.ts';

it('runs a few tasks at once, and thousands in order without blocking the event loop', async () => {
  const tasks = new TaskQueue();
  const done: number[] = [];
  tasks.run(() => done.push(-1));
  expect(done).toEqual([-1]);
  for (let task = 0; task < 5000; task++) tasks.run(() => done.push(task));
  const turns: number[] = [];
  while (done.length < 5001) {
    turns.push(done.length);
    await nextTurn();
  }
  expect(done).toEqual(Array.from({ length: 5001 }, (_, index) => index - 1));
  expect(turns.length).toBeGreaterThanOrEqual(200);
  for (const [index, count] of turns.entries()) expect(count - (turns[index - 1] ?? 0)).toBeLessThanOrEqual(25);
});

it('runs a task that was added by another one after those that wait', async () => {
  const tasks = new TaskQueue();
  const done: string[] = [];
  tasks.run(() => {
    tasks.run(() => done.push('added'));
    done.push('first');
  });
  tasks.run(() => done.push('second'));
  await nextTurn();
  expect(done).toEqual(['first', 'added', 'second']);
});

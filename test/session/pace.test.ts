import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Pace } from '../../src/session/pace.ts';

it('runs a few tasks at once, and thousands in their order without keeping the event loop', async () => {
  const pace = new Pace();
  const done: number[] = [];
  pace.run(() => done.push(-1));
  expect(done).toEqual([-1]);
  for (let task = 0; task < 5000; task++) pace.run(() => done.push(task));
  const turns: number[] = [];
  while (done.length < 5001) {
    turns.push(done.length);
    await nextTurn();
  }
  expect(done).toEqual(Array.from({ length: 5001 }, (_, index) => index - 1));
  expect(turns.length).toBeGreaterThanOrEqual(200);
  for (const [index, count] of turns.entries()) expect(count - (turns[index - 1] ?? 0)).toBeLessThanOrEqual(25);
});

it('runs a task that another one asks for after those that wait', async () => {
  const pace = new Pace();
  const done: string[] = [];
  pace.run(() => {
    pace.run(() => done.push('asked'));
    done.push('first');
  });
  pace.run(() => done.push('second'));
  await nextTurn();
  expect(done).toEqual(['first', 'asked', 'second']);
});

import { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { joinWrites } from '../../src/shared/join-writes.ts';

/** A stream that tells what each of its writes carried. */
function joined(atMost: number) {
  const writes: string[] = [];
  const stream = new Writable({
    write: (chunk, _, done) => {
      writes.push(String(chunk));
      done();
    },
    writev: (chunks, done) => {
      writes.push(chunks.map(({ chunk }) => String(chunk)).join(''));
      done();
    },
  });
  joinWrites(stream, atMost);
  return { stream, writes };
}

it('joins the writes of a turn, a few at a time, in their order', async () => {
  const { stream, writes } = joined(3);
  for (const letter of 'abcdefgh') stream.write(letter);
  expect(writes).toEqual(['abc', 'def']);
  await nextTurn();
  expect(writes).toEqual(['abc', 'def', 'gh']);
  stream.write('i');
  await nextTurn();
  expect(writes.at(-1)).toBe('i');
});

it('loses nothing when the stream is destroyed in the same turn', () => {
  const { stream, writes } = joined(8);
  stream.write('a');
  stream.destroy();
  expect(writes).toEqual(['a']);
});

it('tells when a write is done, and loses nothing when the stream ends in the same turn', async () => {
  const { stream, writes } = joined(8);
  const done = new Promise<unknown>((resolve) => stream.write('a', 'utf8', resolve));
  stream.end('b');
  expect(await done).toBeFalsy();
  await nextTurn();
  expect(writes.join('')).toBe('ab');
});

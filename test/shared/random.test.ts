import { expect, it } from 'vitest';
import { randomText } from '../../src/shared/random.ts';

it('random text has the asked length and never comes twice, across many refills of the pool', () => {
  const texts = Array.from({ length: 20_000 }, () => randomText(16, 'hex'));
  expect(new Set(texts).size).toBe(texts.length);
  expect(texts.every((text) => /^[0-9a-f]{32}$/.test(text))).toBe(true);
  expect(randomText(32, 'base64url')).toMatch(/^[\w-]{43}$/);
});

it('random text is spread over all values', () => {
  const counts = new Array<number>(256).fill(0);
  for (let i = 0; i < 4096; i += 1) for (const byte of Buffer.from(randomText(16, 'hex'), 'hex')) counts[byte]! += 1;
  // 256 of each are expected; six standard deviations are 96.
  expect(Math.min(...counts)).toBeGreaterThan(160);
  expect(Math.max(...counts)).toBeLessThan(352);
});

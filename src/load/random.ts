/**
 * Numbers from 0 up to 1 that are the same for the same seed and session, on whichever thread it runs: mulberry32 by
 * Tommy Ettinger (public domain), begun at a place of its own for each session.
 */
export function seededRandom(seed: number, index: number): () => number {
  let state = (seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

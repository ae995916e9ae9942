/** Milliseconds for timings; a platform without `performance` has a clock all the same. */
export const now = (): number => (globalThis.performance ?? Date).now();

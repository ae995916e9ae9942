/** Runs `task` for each of `count` items, `width` at a time, and returns how many were done in a second. */
export async function rate(count: number, width: number, task: (index: number) => unknown): Promise<number> {
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < count; index = next++) await task(index);
  };
  const since = performance.now();
  await Promise.all(Array.from({ length: width }, lane));
  return count / ((performance.now() - since) / 1000);
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

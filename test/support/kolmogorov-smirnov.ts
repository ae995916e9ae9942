/**
 * The two-sample Kolmogorov-Smirnov statistic: the greatest distance between the shares of two samples that do not exceed a
 * value, over all values.
 */
export function distance(a: readonly number[], b: readonly number[]): number {
  const [left, right] = [a.toSorted(ascending), b.toSorted(ascending)];
  let [i, j, greatest] = [0, 0, 0];
  while (i < left.length && j < right.length) {
    const value = Math.min(left[i]!, right[j]!);
    while (left[i] === value) i++;
    while (right[j] === value) j++;
    greatest = Math.max(greatest, Math.abs(i / left.length - j / right.length));
  }
  return greatest;
}

/**
 * The distance that two samples of one distribution exceed with probability `alpha` (N. Smirnov, "Table for estimating the
 * goodness of fit of empirical distributions", 1948; for samples of some dozens and more).
 */
export const criticalDistance = (n: number, m: number, alpha: number): number =>
  Math.sqrt((-Math.log(alpha / 2) / 2) * ((n + m) / (n * m)));

const ascending = (a: number, b: number): number => a - b;

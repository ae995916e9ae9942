/** Runs `task` for each of `count` items, `width` at a time, and returns how many were done in a second. */
export async function rate(count: number, width: number, task: (index: number) => Promise<unknown>): Promise<number> {
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

/** One line of the table: ours beside the floor of the same run. */
export interface Row {
  what: string;
  unit: string;
  ours: number[];
  floor: number[];
  floorIs: string;
  /** What is aimed at, as ours / floor. */
  aim: string;
}

export function printTable(rows: readonly Row[]): void {
  const cells = rows.map(({ what, unit, ours, floor, floorIs, aim }) => {
    // Runs alternate, so that each ratio compares neighbours in time on a machine that is never quite quiet.
    const ratio = median(ours.map((value, index) => value / floor[index]!));
    return [what, `${show(median(ours))} ${unit}`, `${show(median(floor))} ${unit}`, ratio.toFixed(2), aim, floorIs];
  });
  const table = [['', 'callgate', 'floor', 'ratio', 'aim', 'the floor is'], ...cells];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  for (const row of table)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    );
}

const show = (value: number): string => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3));

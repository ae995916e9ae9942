/** What every benchmark gets. */
export interface Setting {
  redisUrl: string;
  /** Measured rounds, beside those that warm up. */
  rounds: number;
  /** `full`, or its quick counterpart. */
  pick(full: number, quick: number): number;
  /** Tells whoever waits how far it is. */
  say(progress: string): void;
}

/** One line of the table: ours beside a floor of the same run. Either is empty where there is nothing to measure. */
export interface Row {
  what: string;
  unit: string;
  ours: number[];
  floor: number[];
  floorIs: string;
  /** What is aimed at, as ours / floor unless it has a unit. */
  aim: string;
}

export const row = (what: string, unit: string, { floorIs = '', aim = '' } = {}): Row => ({
  what,
  unit,
  ours: [],
  floor: [],
  floorIs,
  aim,
});

/** Runs a measurement to warm up, once unless told otherwise, and then as often as rounds are asked for; only those record. */
export async function inRounds(
  setting: Setting,
  name: string,
  run: (record: boolean) => Promise<void>,
  warmUps = 1,
): Promise<void> {
  for (let round = 1 - warmUps; round <= setting.rounds; round += 1) {
    setting.say(`${name}: ${round <= 0 ? 'warming up' : `round ${round} of ${setting.rounds}`}`);
    await run(round > 0);
  }
}

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

/** The smallest value that this share of all values does not exceed (nearest rank). */
export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)]!;

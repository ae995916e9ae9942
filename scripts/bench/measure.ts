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

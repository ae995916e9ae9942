/** Between two ticks of one client: the length of an Opus frame. */
export const TICK_MS = 20;
/** Clients tick in turns, so that hundreds of them do not send in one burst. */
const TURNS = 4;
const TURN_MS = TICK_MS / TURNS;
/** A thread that was held up for longer than this leaves the ticks out, as a live source would. */
const LONGEST_DELAY_MS = 200;

type Tick = () => void;

const turns = Array.from({ length: TURNS }, () => new Set<Tick>());
let clock: NodeJS.Timeout | undefined;
let startedAt = 0;
let done = 0;

/**
 * Calls back every 20 ms, on average exactly. One timer serves all clients of a thread, and runs only while there are any.
 * Returns what ends it.
 */
export const everyTick = (tick: Tick): (() => void) => {
  const turn = turns.reduce((least, each) => (each.size < least.size ? each : least));
  turn.add(tick);
  clock ??= start();
  return () => {
    turn.delete(tick);
    if (turns.some(({ size }) => size > 0)) return;
    clearInterval(clock);
    clock = undefined;
  };
};

const start = (): NodeJS.Timeout => {
  startedAt = performance.now();
  done = 0;
  return setInterval(catchUp, TURN_MS);
};

const catchUp = (): void => {
  const due = Math.floor((performance.now() - startedAt) / TURN_MS);
  done = Math.max(done, due - LONGEST_DELAY_MS / TURN_MS);
  for (; done < due; done++) for (const tick of turns[done % TURNS]!) tick();
};

/** Turns of the event loop until what follows a message in the kernel's buffer, the end of its connection say, has been seen. */
const TURNS = 3;

/**
 * Resolves once what the kernel held at this moment has been read. A process that was stopped for a while finds messages
 * of clients who have long gone, and their leave behind them.
 */
export async function afterReads(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

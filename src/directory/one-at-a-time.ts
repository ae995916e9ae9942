/**
 * Runs `work` once at a time. Who asks meanwhile gets one more run after it, because that one may have begun too early;
 * all who wait for it share it.
 */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let again = false;
  const untilStill = async (): Promise<void> => {
    do {
      again = false;
      await work();
    } while (again);
  };
  return () => {
    if (running) again = true;
    running ??= untilStill().finally(() => {
      running = undefined;
    });
    return running;
  };
}
